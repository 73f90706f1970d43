package money

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLineAmount(t *testing.T) {
	cases := []struct {
		name                      string
		price, quantity, discount int64
		want                      int64
		fails                     bool
	}{
		{"no discount", 1400, 12, 0, 16800, false},
		{"half goes up", 5, 1, 10, 5, false},              // 4.5
		{"just below half goes down", 7, 7, 1, 49, false}, // 48.51
		{"below half", 1, 1, 51, 0, false},                // 0.49
		{"exactly half of one", 1, 1, 50, 1, false},       // 0.5
		{"all of it", 999, 9, 100, 0, false},
		{"free", 0, 1_000_000, 0, 0, false},
		{"northwind 10250 line 51", 4240, 35, 15, 126140, false},
		{"the largest", Max, 1, 0, Max, false},
		{"over the largest by one", Max + 1, 1, 0, 0, true},
		{"largest price and quantity", Max, 1_000_000, 0, 0, true},
		{"product over 64 bits, result not", 1 << 40, 1 << 20, 100, 0, false},
		{"product of price and quantity over 64 bits", math.MaxInt64, math.MaxInt64, 0, 0, true},
		{"largest factors, rounding carries", math.MaxInt64, 2, 0, 0, true},
		{"negative price", -1, 1, 0, 0, true},
		{"negative quantity", 1, -1, 0, 0, true},
		{"negative discount", 1, 1, -1, 0, true},
		{"discount over 100", 1, 1, 101, 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := LineAmount(c.price, c.quantity, c.discount)
			if c.fails != errors.Is(err, ErrRange) || got != c.want {
				t.Errorf("LineAmount(%d, %d, %d) = %d, %v; want %d, fails %v", c.price, c.quantity, c.discount, got, err, c.want, c.fails)
			}
		})
	}
}

func TestLineAmountAgainstBigNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Int64Range(0, math.MaxInt64).Draw(t, "price")
		quantity := rapid.Int64Range(0, math.MaxInt64).Draw(t, "quantity")
		discount := rapid.Int64Range(0, 100).Draw(t, "discount")

		exact := new(big.Int).Mul(big.NewInt(price), big.NewInt(quantity))
		overflows := exact.BitLen() > 64
		exact.Mul(exact, big.NewInt(100-discount)).Add(exact, big.NewInt(50)).Div(exact, big.NewInt(100))

		got, err := LineAmount(price, quantity, discount)
		if overflows || exact.Cmp(big.NewInt(Max)) > 0 {
			if !errors.Is(err, ErrRange) {
				t.Fatalf("got %d, %v; want ErrRange for %s", got, err, exact)
			}
		} else if err != nil || exact.Int64() != got {
			t.Fatalf("got %d, %v; want %s", got, err, exact)
		}
	})
}

func TestSum(t *testing.T) {
	cases := []struct {
		name    string
		amounts []int64
		want    int64
		fails   bool
	}{
		{"nothing", nil, 0, false},
		{"some", []int64{1, 2, 3}, 6, false},
		{"up to the limit", []int64{Max - 1, 1}, Max, false},
		{"over the limit", []int64{Max, 1}, 0, true},
		{"one over the limit", []int64{Max + 1}, 0, true},
		{"would wrap around", []int64{math.MaxInt64, math.MaxInt64}, 0, true},
		{"negative", []int64{5, -1}, 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Sum(c.amounts...)
			if c.fails != errors.Is(err, ErrRange) || got != c.want {
				t.Errorf("Sum(%v) = %d, %v; want %d, fails %v", c.amounts, got, err, c.want, c.fails)
			}
		})
	}
}

func TestCurrencies(t *testing.T) {
	for code, digits := range map[string]int{"EUR": 2, "USD": 2, "KRW": 0, "JPY": 0, "KWD": 3, "CLF": 4, "XCG": 2} {
		if got, ok := digitsOf[code]; !ok || got != digits {
			t.Errorf("digits of %s: %d, %v; want %d", code, got, ok, digits)
		}
	}
	for _, code := range []string{"", "eur", "EU", "EURO", "XXX", "XTS", "XAU", "DEM", "HRK", "ANG", "ZWL", "SLL"} {
		if Valid(code) {
			t.Errorf("%q passes as an active currency", code)
		}
	}
	all := strings.Fields(zeroDigits + twoDigits + threeDigits + fourDigits)
	if len(all) != len(digitsOf) {
		t.Errorf("%d codes, %d different ones", len(all), len(digitsOf))
	}
}
