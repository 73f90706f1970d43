//go:build !race

package servers

const UnderRace = false
