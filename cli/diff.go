package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jangbu/projector"
)

// How much of a document a diff shows.
const (
	diffLinesShown = 20
	diffWidth      = 120 // of a value, in characters
)

// diffLines shows how a document differs, "-" as it is live, "+" as it is new: the members that differ of a JSON document, the
// items that differ of a list, or all where one of them is neither.
func diffLines(d projector.Diff) []string {
	if d.Live == nil || d.New == nil {
		return []string{"- " + whole(d.Live), "+ " + whole(d.New)}
	}
	var lines []string
	live, liveOK := decoded(d.Live)
	fresh, freshOK := decoded(d.New)
	if liveOK && freshOK {
		lines = memberDiff("", live, fresh)
	} else {
		lines = itemDiff(d.Live, d.New)
	}
	if len(lines) == 0 { // they differ in form alone
		lines = []string{"- " + whole(d.Live), "+ " + whole(d.New)}
	}
	if more := len(lines) - diffLinesShown; more > 0 {
		lines = append(lines[:diffLinesShown], fmt.Sprintf("  and %d lines more", more))
	}
	return lines
}

func whole(body []byte) string {
	if body == nil {
		return "(there is no such document)"
	}
	return cut(string(body))
}

func decoded(body []byte) (v map[string]any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return v, d.Decode(&v) == nil && v != nil && !d.More()
}

// absent is what a document lacks.
type absent struct{}

func memberDiff(path string, live, fresh any) []string {
	var lines []string
	liveMap, ok1 := live.(map[string]any)
	freshMap, ok2 := fresh.(map[string]any)
	if ok1 && ok2 {
		names := maps.Clone(liveMap)
		maps.Copy(names, freshMap)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			lines = append(lines, memberDiff(strings.TrimPrefix(path+"."+name, "."), memberOf(liveMap, name), memberOf(freshMap, name))...)
		}
		return lines
	}
	liveList, ok1 := live.([]any)
	freshList, ok2 := fresh.([]any)
	if ok1 && ok2 {
		for i := range max(len(liveList), len(freshList)) {
			lines = append(lines, memberDiff(fmt.Sprintf("%s[%d]", path, i), elementOf(liveList, i), elementOf(freshList, i))...)
		}
		return lines
	}
	was, is := jsonOf(live), jsonOf(fresh)
	if was == is {
		return nil
	}
	if live != (absent{}) {
		lines = append(lines, cut("- "+path+": "+was))
	}
	if fresh != (absent{}) {
		lines = append(lines, cut("+ "+path+": "+is))
	}
	return lines
}

func memberOf(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	return absent{}
}

func elementOf(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

func jsonOf(v any) string {
	if v == (absent{}) {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cli: what was decoded does not encode: %v", err))
	}
	return string(text)
}

// itemDiff shows the lines that only one of two lists has, in their order.
func itemDiff(live, fresh []byte) []string {
	was, is := strings.Split(string(live), "\n"), strings.Split(string(fresh), "\n")
	return append(only("- ", was, is), only("+ ", is, was)...)
}

// only marks the lines that are not in others, or more often than there.
func only(mark string, lines, others []string) []string {
	count := map[string]int{}
	for _, o := range others {
		count[o]++
	}
	var marked []string
	for _, line := range lines {
		if count[line]--; count[line] < 0 && line != "" {
			marked = append(marked, cut(mark+line))
		}
	}
	return marked
}

// cut makes text fit for a line.
func cut(text string) string {
	runes := []rune(printable(text))
	if len(runes) > diffWidth {
		return string(runes[:diffWidth]) + "…"
	}
	return string(runes)
}

// printable leaves out what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}
