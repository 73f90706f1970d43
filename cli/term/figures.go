package term

import (
	"strconv"
	"strings"
	"time"
)

// sample notes how far the bar is, and forgets what is older than rateSpan but for one sample.
func (b *Bar) sample(now time.Time) {
	if last := b.samples[len(b.samples)-1]; last.at.Equal(now) && len(b.samples) > 1 {
		b.samples = b.samples[:len(b.samples)-1]
	}
	b.samples = append(b.samples, sample{now, b.done})
	for len(b.samples) > 2 && now.Sub(b.samples[1].at) >= rateSpan {
		b.samples = b.samples[1:]
	}
}

// rate is things a second: over the recent past while the bar moves, over all its time once it has ended.
func (b *Bar) rate(now time.Time) float64 {
	from := b.samples[0]
	if !b.ended.IsZero() {
		from, now = sample{b.began, 0}, b.ended
	}
	span := now.Sub(from.at).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(b.done-from.done) / span
}

// pace is the rate and the time left, or taken.
func (b *Bar) pace(now time.Time) string {
	rate := b.rate(now)
	text := pad(perSecond(rate), 9, true)
	switch {
	case !b.ended.IsZero():
		return text + "  in " + Duration(b.ended.Sub(b.began))
	case b.total > 0 && rate > 0:
		return text + "  ETA " + Duration(time.Duration(float64(b.total-b.done)/rate*float64(time.Second)))
	}
	return text
}

func perSecond(rate float64) string {
	if rate > 0 && rate < 10 {
		return strconv.FormatFloat(rate, 'f', 1, 64) + "/s"
	}
	return Count(int64(rate+0.5)) + "/s"
}

func (b *Bar) amount() string {
	if b.total <= 0 {
		return Count(b.done)
	}
	return Count(b.done) + "/" + Count(b.total)
}

func (b *Bar) percent() string {
	if b.total <= 0 && b.before == 0 {
		return "    "
	}
	return pad(strconv.FormatInt(b.share(100), 10)+"%", 4, true)
}

// gaugeWidth is the number of cells of a drawn bar.
const gaugeWidth = 24

func (b *Bar) gauge() string {
	full := int(b.share(gaugeWidth))
	return strings.Repeat("█", full) + strings.Repeat("░", gaugeWidth-full)
}

// share is how many of so many parts are done of the whole, rounded down: all only when all is done.
func (b *Bar) share(parts int64) int64 {
	done := b.before
	if b.total > 0 {
		done += (1 - b.before) * float64(b.done) / float64(b.total)
	}
	return min(parts, max(0, int64(done*float64(parts))))
}

// Count writes a number with a comma every three digits.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Duration writes a duration as people say it: 0.4s, 12s, 3m05s, 2h10m.
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(max(0, d.Seconds()), 'f', 1, 64) + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m" + two(int(d.Seconds())%60) + "s"
	}
	return strconv.Itoa(int(d.Hours())) + "h" + two(int(d.Minutes())%60) + "m"
}

func two(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}
