package eventstore

import (
	"errors"
	"net/url"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

var (
	errCredentials = errors.New("the user or the password cannot be read: both must be there, and percent-encoded (% is %25, / is %2F, @ is %40)")
	errDeadline    = errors.New("defaultDeadline must be a number of milliseconds, 1 or more, without a unit")
	errGossip      = errors.New("gossipTimeout must be a number of seconds, 1 or more, without a unit")
)

// parse reads a connection string. Its error shows nothing of the password.
func parse(raw string) (*esdb.Configuration, error) {
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		switch scheme {
		case "kurrentdb":
			raw = "esdb://" + rest
		case "kurrentdb+discover":
			raw = "esdb+discover://" + rest
		}
	}
	conf, err := esdb.ParseConnectionString(raw)
	if err != nil {
		return nil, blame(raw, err)
	}
	switch {
	case conf.DefaultDeadline != nil && *conf.DefaultDeadline <= 0: // the client takes what it cannot read for nought
		return nil, errDeadline
	case conf.GossipTimeout <= 0:
		return nil, errGossip
	}
	return conf, conf.Validate()
}

// blame says why the client could not parse raw. The client's own reason may quote raw, or a piece of it that is the password's;
// so where there are credentials, the reason is that of the same string with others.
func blame(raw string, err error) error {
	scheme, rest, _ := strings.Cut(raw, "://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		if _, err = esdb.ParseConnectionString(scheme + "://user:password" + rest[i:]); err == nil {
			return errCredentials
		}
	}
	var whole *url.Error
	if errors.As(err, &whole) {
		return whole.Err
	}
	return err
}
