package member

// State is what a member's events add up to. The zero State is a member nobody has registered.
type State struct {
	Exists  bool   `json:"exists,omitempty"`
	Name    string `json:"name,omitempty"`
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// Apply folds one event into the state. An event it does not know changes nothing.
func Apply(s State, e any) State {
	switch e := e.(type) {
	case Registered:
		return State{Exists: true, Name: e.Name, Contact: e.Contact, City: e.City, Country: e.Country, Phone: e.Phone}
	case Renamed:
		s.Name = e.Name
	}
	return s
}
