package money

import "strings"

// The active currencies of ISO 4217 (list one) as of 2026, by the decimal digits of their minor unit. Codes that are no
// money a shop could ask for (metals, bond units, testing) are left out, as are withdrawn ones.
const (
	zeroDigits = `
		BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF`
	twoDigits = `
		AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
		CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
		IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
		MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
		SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
		YER ZAR ZMW ZWG`
	threeDigits = `
		BHD IQD JOD KWD LYD OMR TND`
	fourDigits = `
		CLF UYW`
)

var digitsOf = func() map[string]int {
	m := map[string]int{}
	for digits, codes := range map[int]string{0: zeroDigits, 2: twoDigits, 3: threeDigits, 4: fourDigits} {
		for code := range strings.FieldsSeq(codes) {
			m[code] = digits
		}
	}
	return m
}()

// Valid reports whether code is an active ISO 4217 code, in capitals.
func Valid(code string) bool {
	_, ok := digitsOf[code]
	return ok
}
