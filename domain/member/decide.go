package member

import (
	"fmt"

	"jangbu/domain"
	"jangbu/domain/email"
)

// MaxAddresses is how many addresses a member may have.
const MaxAddresses = 50

// Command is what can be asked of a member. ID names the member in every one of them.
type Command interface{ isCommand() }

// Register makes a new member. That no other member has Email is for the caller to see to.
type Register struct {
	ID      string
	Name    string
	Email   string // may be empty
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

// ChangeEmail gives a member another e-mail address, or none. That no other member has it is for the caller to see to.
type ChangeEmail struct {
	ID    string
	Email string
}

// GiveUpEmail takes an address from a member, who need not exist, for whom it was reserved and whose it has not become.
type GiveUpEmail struct {
	ID    string
	Email string // in the form of email.Normal
}

// ChangeContact sets how a member is reached. What is empty is not known.
type ChangeContact struct {
	ID      string
	Contact string
	City    string
	Country string
	Phone   string
}

// SetAddress adds the address of a label, or puts it in place of the one of that label.
type SetAddress struct {
	ID      string
	Address Address
}

// RemoveAddress forgets the address of a label.
type RemoveAddress struct {
	ID    string
	Label string
}

// Close ends a membership, for good.
type Close struct {
	ID     string
	Reason string
}

func (Register) isCommand()      {}
func (Rename) isCommand()        {}
func (ChangeEmail) isCommand()   {}
func (GiveUpEmail) isCommand()   {}
func (ChangeContact) isCommand() {}
func (SetAddress) isCommand()    {}
func (RemoveAddress) isCommand() {}
func (Close) isCommand()         {}

// Decide returns the events the command causes in the state, none when it changes nothing. It fails with
// *domain.Missing, *domain.Invalid or *domain.Refused:
//
//	member-exists       Register: the id is taken
//	member-closed       every change but Close: the member is none any more
//	email-taken         GiveUpEmail: the address is the member's
//	too-many-addresses  SetAddress: there are MaxAddresses under other labels
func Decide(s State, c Command) ([]any, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	case Rename:
		return rename(s, c)
	case ChangeEmail:
		return changeEmail(s, c)
	case GiveUpEmail:
		return giveUpEmail(s, c)
	case ChangeContact:
		return changeContact(s, c)
	case SetAddress:
		return setAddress(s, c)
	case RemoveAddress:
		return removeAddress(s, c)
	case Close:
		return closeMember(s, c)
	}
	return nil, nil
}

// Check returns what is wrong with the fields of the command by themselves.
func (c Register) Check() error {
	_, err := c.registered()
	return err
}

func (c Register) registered() (Registered, error) {
	var invalid domain.Invalid
	invalid.ID("/id", c.ID)
	e := Registered{
		Name:    invalid.Required("/name", c.Name, domain.MaxText),
		Email:   address(&invalid, c.Email),
		Contact: invalid.Optional("/contact", c.Contact, domain.MaxText),
		City:    invalid.Optional("/city", c.City, domain.MaxText),
		Country: invalid.Optional("/country", c.Country, domain.MaxText),
		Phone:   invalid.Optional("/phone", c.Phone, domain.MaxText),
	}
	return e, invalid.Err()
}

func register(s State, c Register) ([]any, error) {
	e, err := c.registered()
	if err != nil {
		return nil, err
	}
	if s.Exists {
		return nil, &domain.Refused{Code: "member-exists", Detail: "Member " + c.ID + " is registered already."}
	}
	return []any{e}, nil
}

// address checks an e-mail address that may be empty and returns it in the form in which it is kept.
func address(invalid *domain.Invalid, s string) string {
	normal, ok := email.Normal(s)
	if normal != "" && !ok {
		invalid.Add("/email", fmt.Sprintf("must be an e-mail address such as kim@example.com, of at most %d bytes", email.MaxLength))
	}
	return normal
}

// changeable is why the member cannot be changed: the fields are wrong, or there is no such member any more.
func changeable(s State, id string, invalid *domain.Invalid) error {
	if !s.Exists {
		return &domain.Missing{Kind: Category, ID: id}
	}
	if err := invalid.Err(); err != nil {
		return err
	}
	if s.Closed {
		return &domain.Refused{Code: "member-closed", Detail: "Member " + id + " is closed."}
	}
	return nil
}

func rename(s State, c Rename) ([]any, error) {
	var invalid domain.Invalid
	name := invalid.Required("/name", c.Name, domain.MaxText)
	if err := changeable(s, c.ID, &invalid); err != nil || name == s.Name {
		return nil, err
	}
	return []any{Renamed{Name: name}}, nil
}

func changeEmail(s State, c ChangeEmail) ([]any, error) {
	var invalid domain.Invalid
	email := address(&invalid, c.Email)
	if err := changeable(s, c.ID, &invalid); err != nil || email == s.Email {
		return nil, err
	}
	return []any{EmailChanged{Email: email}}, nil
}

// giveUpEmail always has an effect but on a member who has the address: the event makes whoever was about to give it to
// the member find the stream changed.
func giveUpEmail(s State, c GiveUpEmail) ([]any, error) {
	if s.Email == c.Email {
		return nil, &domain.Refused{Code: "email-taken", Detail: "Another member has this e-mail address."}
	}
	return []any{EmailGivenUp{Email: c.Email}}, nil
}

func changeContact(s State, c ChangeContact) ([]any, error) {
	var invalid domain.Invalid
	e := ContactChanged{
		Contact: invalid.Optional("/contact", c.Contact, domain.MaxText),
		City:    invalid.Optional("/city", c.City, domain.MaxText),
		Country: invalid.Optional("/country", c.Country, domain.MaxText),
		Phone:   invalid.Optional("/phone", c.Phone, domain.MaxText),
	}
	now := ContactChanged{Contact: s.Contact, City: s.City, Country: s.Country, Phone: s.Phone}
	if err := changeable(s, c.ID, &invalid); err != nil || e == now {
		return nil, err
	}
	return []any{e}, nil
}

func setAddress(s State, c SetAddress) ([]any, error) {
	var invalid domain.Invalid
	a := Address{
		Label:    invalid.Required("/label", c.Address.Label, domain.MaxText),
		Name:     invalid.Required("/name", c.Address.Name, domain.MaxText),
		Street:   invalid.Optional("/street", c.Address.Street, domain.MaxText),
		Postcode: invalid.Optional("/postcode", c.Address.Postcode, domain.MaxText),
		City:     invalid.Required("/city", c.Address.City, domain.MaxText),
		Country:  invalid.Required("/country", c.Address.Country, domain.MaxText),
	}
	if err := changeable(s, c.ID, &invalid); err != nil {
		return nil, err
	}
	switch at, found := s.address(a.Label); {
	case found && s.Addresses[at] == a:
		return nil, nil
	case !found && len(s.Addresses) >= MaxAddresses:
		return nil, &domain.Refused{Code: "too-many-addresses",
			Detail: fmt.Sprintf("Member %s has %d addresses, and may not have more.", c.ID, MaxAddresses)}
	}
	return []any{AddressSet{a}}, nil
}

func removeAddress(s State, c RemoveAddress) ([]any, error) {
	var invalid domain.Invalid
	label := invalid.Required("/label", c.Label, domain.MaxText)
	if err := changeable(s, c.ID, &invalid); err != nil {
		return nil, err
	}
	if _, found := s.address(label); !found {
		return nil, nil
	}
	return []any{AddressRemoved{Label: label}}, nil
}

func closeMember(s State, c Close) ([]any, error) {
	if !s.Exists {
		return nil, &domain.Missing{Kind: Category, ID: c.ID}
	}
	var invalid domain.Invalid
	reason := invalid.Optional("/reason", c.Reason, domain.MaxReason)
	if err := invalid.Err(); err != nil || s.Closed {
		return nil, err
	}
	return []any{Closed{Reason: reason}}, nil
}
