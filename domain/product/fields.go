package product

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"jangbu/domain"
)

// The limits of what a product is described by.
const (
	MaxDescription = 5000 // runes
	MaxTags        = 20
	MaxTag         = 50 // runes
	MaxImages      = 20
	MaxImage       = 2000 // runes of a URL
)

// normalTags checks tags and returns them in lower case, sorted, each once; never nil.
func normalTags(invalid *domain.Invalid, tags []string) []string {
	normal := make([]string, 0, min(len(tags), MaxTags))
	for i, tag := range tags {
		tag = strings.ToLower(invalid.Required(fmt.Sprintf("/tags/%d", i), tag, MaxTag))
		if at, found := slices.BinarySearch(normal, tag); !found {
			normal = slices.Insert(normal, at, tag)
		}
		if len(normal) > MaxTags {
			invalid.Add("/tags", fmt.Sprintf("must be at most %d different tags", MaxTags))
			break
		}
	}
	return normal
}

// checkImages checks the URLs of images and returns them without the white space around them; never nil.
func checkImages(invalid *domain.Invalid, images []string) []string {
	if len(images) > MaxImages {
		invalid.Add("/images", fmt.Sprintf("must be at most %d images", MaxImages))
		images = images[:MaxImages]
	}
	checked := make([]string, 0, len(images))
	for i, image := range images {
		at := fmt.Sprintf("/images/%d", i)
		wrong := len(invalid.Fields)
		image = invalid.Required(at, image, MaxImage)
		if len(invalid.Fields) == wrong && !absolute(image) {
			invalid.Add(at, "must be an absolute URL of https or http")
		}
		checked = append(checked, image)
	}
	return checked
}

func absolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && !strings.ContainsFunc(s, unicode.IsSpace)
}

// orNil is the form of an empty list in events and states that leave it out.
func orNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}
