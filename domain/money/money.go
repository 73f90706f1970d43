// Package money is amounts of money: integers of the minor unit of an ISO 4217 currency, with arithmetic that says
// when it would leave its limits instead of wrapping around.
package money

import (
	"errors"
	"math/bits"
)

// Max is the largest price, fee or order total, in minor units. It is far above any sale and small enough that the
// sum of nine million of them still fits 64 bits, so sums over views need no check.
const Max int64 = 1_000_000_000_000

// ErrRange: an argument is negative, a discount is not 0 to 100, or the result is over Max.
var ErrRange = errors.New("amount is out of range")

// LineAmount is price × quantity × (100 − discountPercent) / 100, rounded half up to the minor unit. The intermediate
// product has 128 bits, so only a result over Max fails.
func LineAmount(price, quantity, discountPercent int64) (int64, error) {
	if price < 0 || quantity < 0 || discountPercent < 0 || discountPercent > 100 {
		return 0, ErrRange
	}
	over, full := bits.Mul64(uint64(price), uint64(quantity))
	if over != 0 {
		return 0, ErrRange
	}
	high, low := bits.Mul64(full, uint64(100-discountPercent))
	low, carry := bits.Add64(low, 50, 0) // half of the divisor: half up
	high += carry
	if high >= 100 {
		return 0, ErrRange
	}
	amount, _ := bits.Div64(high, low, 100)
	if amount > uint64(Max) {
		return 0, ErrRange
	}
	return int64(amount), nil
}

// Sum adds amounts; each of them and the result must be from 0 to Max.
func Sum(amounts ...int64) (int64, error) {
	var sum int64
	for _, a := range amounts {
		if a < 0 || a > Max || sum > Max-a {
			return 0, ErrRange
		}
		sum += a
	}
	return sum, nil
}
