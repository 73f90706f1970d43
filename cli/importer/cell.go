package importer

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"jangbu/domain"
)

// centDigits is how many decimals the minor unit of the imported currency has.
const centDigits = 2

// currency is that of every price in the files.
const currency = "USD"

// cents reads a decimal amount ("14", "14.5", "14.00") as minor units, exactly; more decimals than the currency has
// are an error, and so is a sign.
func cents(s string) (int64, error) {
	whole, part, point := strings.Cut(s, ".")
	if !digits(whole) || point && !digits(part) {
		return 0, fmt.Errorf("%q is not an amount such as 14.00", s)
	}
	if len(part) > centDigits {
		return 0, fmt.Errorf("%q has more than %d decimals", s, centDigits)
	}
	n, err := strconv.ParseInt(whole+part+strings.Repeat("0", centDigits-len(part)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is too large an amount", s)
	}
	return n, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// between reads a whole number from low to high.
func between(s string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", s, low, high)
	}
	return n, nil
}

func checkDate(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fmt.Errorf("%q is not a date such as 1996-07-04", s)
	}
	return nil
}

func checkID(s string) error {
	if !domain.ValidID(s) {
		return fmt.Errorf("%q is not an id: 1 to 64 letters, digits, '_' or '-'", s)
	}
	return nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
