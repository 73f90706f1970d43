package bus

import "jangbu/domain/event"

// Encode and Decode are the message's two directions, for tests outside the package.
func Encode(e event.Recorded) string { return string(encode(nil, e, false)) }

func Decode(body string) (event.Recorded, bool, error) { return decode(body) }
