package member

import (
	"cmp"
	"slices"
)

// State is what a member's events add up to. The zero State is a member nobody has registered.
type State struct {
	Exists    bool      `json:"exists,omitempty"`
	Name      string    `json:"name,omitempty"`
	Email     string    `json:"email,omitempty"`
	Contact   string    `json:"contact,omitempty"`
	City      string    `json:"city,omitempty"`
	Country   string    `json:"country,omitempty"`
	Phone     string    `json:"phone,omitempty"`
	Addresses []Address `json:"addresses,omitempty"` // sorted by label
	Closed    bool      `json:"closed,omitempty"`
}

// Apply folds one event into the state, which it leaves alone. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Registered:
		return State{Exists: true, Name: e.Name, Email: e.Email, Contact: e.Contact, City: e.City, Country: e.Country, Phone: e.Phone}
	case Renamed:
		s.Name = e.Name
	case EmailChanged:
		s.Email = e.Email
	case ContactChanged:
		s.Contact, s.City, s.Country, s.Phone = e.Contact, e.City, e.Country, e.Phone
	case AddressSet:
		at, found := s.address(e.Label)
		s.Addresses = slices.Clone(s.Addresses)
		if !found {
			s.Addresses = slices.Insert(s.Addresses, at, Address{})
		}
		s.Addresses[at] = e.Address
	case AddressRemoved:
		if at, found := s.address(e.Label); found {
			if s.Addresses = slices.Delete(slices.Clone(s.Addresses), at, at+1); len(s.Addresses) == 0 {
				s.Addresses = nil
			}
		}
	case Closed:
		s.Closed, s.Email = true, ""
	}
	return s
}

func (s State) address(label string) (at int, found bool) {
	return slices.BinarySearchFunc(s.Addresses, label, func(a Address, label string) int { return cmp.Compare(a.Label, label) })
}
