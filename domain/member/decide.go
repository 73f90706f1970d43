package member

import "jangbu/domain"

// Command is what can be asked of a member.
type Command interface{ isCommand() }

// Register makes a new member.
type Register struct {
	ID      string
	Name    string
	Contact string
	City    string
	Country string
	Phone   string
}

// Rename gives a member another name.
type Rename struct {
	ID   string
	Name string
}

func (Register) isCommand() {}
func (Rename) isCommand()   {}

// Decide returns the events the command causes in the state, none when it changes nothing. It fails with
// *domain.Missing, *domain.Invalid or *domain.Refused:
//
//	member-exists   Register: the id is taken
func Decide(s State, c Command) ([]any, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	case Rename:
		return rename(s, c)
	}
	return nil, nil
}

func register(s State, c Register) ([]any, error) {
	var invalid domain.Invalid
	invalid.ID("/id", c.ID)
	e := Registered{
		Name:    invalid.Required("/name", c.Name, domain.MaxText),
		Contact: invalid.Optional("/contact", c.Contact, domain.MaxText),
		City:    invalid.Optional("/city", c.City, domain.MaxText),
		Country: invalid.Optional("/country", c.Country, domain.MaxText),
		Phone:   invalid.Optional("/phone", c.Phone, domain.MaxText),
	}
	if err := invalid.Err(); err != nil {
		return nil, err
	}
	if s.Exists {
		return nil, &domain.Refused{Code: "member-exists", Detail: "Member " + c.ID + " is registered already."}
	}
	return []any{e}, nil
}

func rename(s State, c Rename) ([]any, error) {
	if !s.Exists {
		return nil, &domain.Missing{Kind: Category, ID: c.ID}
	}
	var invalid domain.Invalid
	name := invalid.Required("/name", c.Name, domain.MaxText)
	if err := invalid.Err(); err != nil || name == s.Name {
		return nil, err
	}
	return []any{Renamed{Name: name}}, nil
}
