package command

import (
	"github.com/labstack/echo/v4"

	"jangbu/domain"
	"jangbu/domain/member"
	"jangbu/infra/web"
)

var members = aggregate[member.State, member.Command]{member.Category, member.Codec, member.Apply, member.Decide}

func (s *Service) registerMembers(e *echo.Echo) {
	e.POST("/members", s.registerMember)
	e.POST("/members/:id/rename", changing(s, members, web.Decode, renameMember))
	e.POST("/members/:id/email", s.changeEmail)
	e.POST("/members/:id/contact", changing(s, members, web.Decode, changeContact))
	e.POST("/members/:id/addresses", changing(s, members, web.Decode, setAddress))
	e.POST("/members/:id/addresses/remove", changing(s, members, web.Decode, removeAddress))
	e.POST("/members/:id/close", s.closeMember)
}

type registerBody struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name"`
	Email   string `json:"email,omitempty"`
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

func (b registerBody) clientID() string { return b.ID }

func (s *Service) registerMember(c echo.Context) error {
	id, body, r, err := readCreation[registerBody](c)
	if err != nil {
		return err
	}
	register := member.Register{ID: id, Name: body.Name, Email: body.Email, Contact: body.Contact,
		City: body.City, Country: composed(body.Country), Phone: body.Phone}
	o := s.withEmail(r, id, register)
	o.creates, o.check = true, register.Check
	return s.run(c, o)
}

type renameBody struct {
	Name string `json:"name"`
}

func renameMember(id string, b renameBody) member.Command { return member.Rename{ID: id, Name: b.Name} }

type emailBody struct {
	Email *string `json:"email"`
}

func (b emailBody) complete() error { return wanted("/email", b.Email != nil, `"" removes it`) }

func (s *Service) changeEmail(c echo.Context) error {
	return changingEmail(s, c, decodeComplete, func(id string, b emailBody) member.Command {
		return member.ChangeEmail{ID: id, Email: *b.Email}
	})
}

type closeBody struct {
	Reason string `json:"reason,omitempty"`
}

func (s *Service) closeMember(c echo.Context) error {
	return changingEmail(s, c, web.DecodeOptional, func(id string, b closeBody) member.Command {
		return member.Close{ID: id, Reason: b.Reason}
	})
}

// changingEmail handles a POST after which a member may no longer have the e-mail address they had.
func changingEmail[B any](s *Service, c echo.Context, decode func(echo.Context, any) error, command func(id string, body B) member.Command) error {
	id, body, r, err := readChange[B](c, member.Category, decode)
	if err != nil {
		return err
	}
	return s.runChangingEmail(c, s.withEmail(r, id, command(id, body)))
}

type contactBody struct {
	Contact string `json:"contact,omitempty"`
	City    string `json:"city,omitempty"`
	Country string `json:"country,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

func changeContact(id string, b contactBody) member.Command {
	return member.ChangeContact{ID: id, Contact: b.Contact, City: b.City, Country: composed(b.Country), Phone: b.Phone}
}

type addressBody struct {
	Label    string `json:"label"`
	Name     string `json:"name"`
	Street   string `json:"street,omitempty"`
	Postcode string `json:"postcode,omitempty"`
	City     string `json:"city"`
	Country  string `json:"country"`
}

func setAddress(id string, b addressBody) member.Command {
	return member.SetAddress{ID: id, Address: member.Address(b)}
}

type labelBody struct {
	Label string `json:"label"`
}

func removeAddress(id string, b labelBody) member.Command {
	return member.RemoveAddress{ID: id, Label: b.Label}
}

// decodeComplete is web.Decode of a body that says what must not be left out, since the empty value has a meaning of its
// own: a client that forgets the field must not wipe what is there.
func decodeComplete(c echo.Context, into any) error {
	if err := web.Decode(c, into); err != nil {
		return err
	}
	if err := into.(interface{ complete() error }).complete(); err != nil {
		return problem(err)
	}
	return nil
}

func wanted(pointer string, given bool, none string) error {
	var invalid domain.Invalid
	if !given {
		invalid.Add(pointer, "must be there; "+none)
	}
	return invalid.Err()
}
