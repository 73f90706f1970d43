package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"jangbu/domain/product"
	"jangbu/query/row"
)

// Catalogue serves lists of the products that are sold, named as Shelf.List and SearchList say. A product has a row in
// every list that shows it, so that no query sorts or filters: 2 x (2 + 2 x its tags) lists of shelves, and one for each
// beginning of a word of its name. Products change seldom, and orders touch none of this.
var Catalogue = &View{
	Name:    "catalogue",
	Version: 3,
	Sources: []Source{FromRecorded(product.Category, product.Codec, shown.apply, shownRows)},
}

// Shelf is what a list of products is about: those of a category, with a tag, both, or all where both are empty. ShelfOf makes it.
type Shelf struct {
	Category string
	Tag      string
}

// ShelfOf is the shelf of a category and a tag, "" for any. However a text was typed, what looks the same is one shelf.
func ShelfOf(category, tag string) Shelf {
	return Shelf{Category: normal(category), Tag: strings.ToLower(normal(tag))}
}

// normal is the form in which texts are compared: without white space around it, its accents composed (NFC). Texts of old events,
// and those that clients look for, may be in any.
func normal(text string) string { return norm.NFC.String(strings.TrimSpace(text)) }

// The orders of a list of products.
const (
	Newest   = "newest"  // the latest created first
	ByPrice  = "price"   // the lowest price first, currency by currency; sales come and go with the clock, which views do not know
	MostSold = "popular" // see Popular
)

// List names the list in an order: of Catalogue, and for MostSold of Popular.
func (s Shelf) List(sort string) string {
	name, sep := sort, "?"
	for _, p := range [][2]string{{"category", s.Category}, {"tag", s.Tag}} {
		if p[1] != "" {
			name, sep = name+sep+p[0]+"="+url.QueryEscape(p[1]), "&"
		}
	}
	return name
}

// shelves are all that a product stands on, each once.
func shelves(category string, tags []string) []Shelf {
	var all []Shelf
	for _, tag := range append([]string{""}, tags...) {
		for _, c := range []string{"", category} {
			if shelf := ShelfOf(c, tag); !slices.Contains(all, shelf) {
				all = append(all, shelf)
			}
		}
	}
	return all
}

// prefixes are the lengths, in characters, of the beginnings of words that have a list. Any other beginning is looked for
// in the list of the next shorter one.
var prefixes = []int{1, 2, 3, 5}

// SearchList names a list that has all products in whose name some word begins so; unless the beginning has a list of its
// own, it has others, too, which Matches tells apart.
func SearchList(word string) string {
	runes := []rune(word)
	n := 0
	for _, length := range prefixes {
		if length <= len(runes) {
			n = length
		}
	}
	return "search?q=" + url.QueryEscape(string(runes[:n]))
}

// Words are the words of a text in lower case, a final sigma as any other, each once, the longest first.
func Words(text string) []string {
	lower := strings.ReplaceAll(strings.ToLower(normal(text)), "ς", "σ")
	words := strings.FieldsFunc(lower, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(utf8.RuneCountInString(b)-utf8.RuneCountInString(a), strings.Compare(a, b))
	})
	return slices.Compact(words)
}

// Matches reports whether each of the words is the beginning of a word of the name.
func Matches(name string, words []string) bool {
	has := Words(name)
	return !slices.ContainsFunc(words, func(w string) bool {
		return !slices.ContainsFunc(has, func(h string) bool { return strings.HasPrefix(h, w) })
	})
}

// shown is all that a list of products shows of one. Its pictures are but the first.
type shown struct {
	Name     string           `json:"n,omitempty"`
	Category string           `json:"c,omitempty"`
	Tags     []string         `json:"t,omitempty"`
	Image    string           `json:"i,omitempty"`
	Price    int64            `json:"p,omitempty"`
	Currency string           `json:"y,omitempty"`
	Sale     *product.SaleSet `json:"s,omitempty"`
	Created  int64            `json:"m,omitempty"` // milliseconds since 1970
	Exists   bool             `json:"e,omitempty"`
	Gone     bool             `json:"x,omitempty"` // discontinued
}

func (s shown) apply(e any, at Recording) shown {
	if _, ok := e.(product.Created); ok {
		s.Created = at.Time.UnixMilli()
	}
	return s.follow(e)
}

// follow is apply without the clock.
func (s shown) follow(e any) shown {
	switch e := e.(type) {
	case product.Created:
		s = shown{Created: s.Created, Exists: true, Name: e.Name, Category: e.Category, Price: e.Price, Currency: e.Currency,
			Tags: slices.Clip(e.Tags), Image: first(e.Images)}
	case product.Renamed:
		s.Name = e.Name
	case product.Categorised:
		s.Category = e.Category
	case product.Tagged:
		s.Tags = slices.Clip(e.Tags)
	case product.Pictured:
		s.Image = first(e.Images)
	case product.Repriced:
		s.Price = e.Price
	case product.SaleSet:
		s.Sale = &e
	case product.SaleEnded:
		s.Sale = nil
	case product.Discontinued:
		s.Gone = true
	case product.Relisted:
		s.Gone = false
	}
	if len(s.Tags) == 0 {
		s.Tags = nil
	}
	return s
}

func first(images []string) string {
	if len(images) == 0 {
		return ""
	}
	return images[0]
}

// listedProduct is an item of every list of products.
type listedProduct struct {
	ID       string           `json:"id"`
	Name     string           `json:"name"`
	Category string           `json:"category"`
	Tags     []string         `json:"tags"`
	Image    string           `json:"image"`
	Price    int64            `json:"price"`
	Currency string           `json:"currency"`
	Sale     *product.SaleSet `json:"sale"`
}

func (s shown) item(id string) listedProduct {
	p := listedProduct{ID: id, Name: s.Name, Category: s.Category, Tags: s.Tags, Image: s.Image, Price: s.Price, Currency: s.Currency, Sale: s.Sale}
	if p.Tags == nil {
		p.Tags = []string{}
	}
	return p
}

func shownRows(id string, s shown, _ int64) []row.Row {
	if !s.Exists || s.Gone {
		return nil
	}
	item := json.RawMessage(row.JSON(s.item(id))) // once for all lists
	newest := descending(time.UnixMilli(s.Created).UTC().Format(momentLayout)) + " " + id
	price := fmt.Sprintf("%s %013d %s", s.Currency, s.Price, id)
	var rows []row.Row
	for _, shelf := range shelves(s.Category, s.Tags) {
		rows = append(rows, row.Row{Doc: shelf.List(Newest), Key: newest, Item: item}, row.Row{Doc: shelf.List(ByPrice), Key: price, Item: item})
	}
	key := strings.ToLower(s.Name) + " " + id
	for _, list := range searchLists(s.Name) {
		rows = append(rows, row.Row{Doc: list, Key: key, Item: item})
	}
	return rows
}

// searchLists names every list in which a product of that name can be found, each once.
func searchLists(name string) []string {
	var lists []string
	for _, word := range Words(name) {
		runes := []rune(word)
		for _, n := range prefixes {
			if n <= len(runes) {
				lists = append(lists, SearchList(string(runes[:n])))
			}
		}
	}
	slices.Sort(lists)
	return slices.Compact(lists)
}
