package readmodel

import (
	"strconv"
	"strings"
)

// appendStamp appends what stamp.lua calls so.
func appendStamp(b []byte, revision int64, skips int) []byte {
	if b = strconv.AppendInt(b, revision, 10); skips > 0 {
		b = strconv.AppendInt(append(b, '+'), int64(skips), 10)
	}
	return b
}

func stamp(revision int64, skips int) string { return string(appendStamp(nil, revision, skips)) }

func readStamp(text string) (revision int64, skips int, err error) {
	first, second, skipped := strings.Cut(text, "+")
	if revision, err = strconv.ParseInt(first, 10, 64); err == nil && skipped {
		skips, err = strconv.Atoi(second)
	}
	return revision, skips, err
}
