package cli

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"jangbu/infra/bus"
	"jangbu/query/view"
)

// The flags that several modes share. A mode embeds those it needs.

type storeFlags struct {
	EventstoreURL string `name:"eventstore-url" help:"Event store to use." default:"esdb://127.0.0.1:2113?tls=false" env:"EVENTSTORE_URL" placeholder:"URL"`
}

type redisFlags struct {
	RedisURL string `name:"redis-url" help:"Redis to use." default:"redis://127.0.0.1:6379" env:"REDIS_URL" placeholder:"URL"`
}

type busFlags struct {
	AWSEndpointURL string `name:"aws-endpoint-url" help:"SNS and SQS to use; none: AWS itself. Against a loopback address neither credentials nor a region are needed." env:"AWS_ENDPOINT_URL" placeholder:"URL"`
	AWSRegion      string `name:"aws-region" help:"Region of the topic and the queues." env:"AWS_REGION" placeholder:"REGION"`
}

// shopFlags name the shop: several may share one bus and one Redis.
type shopFlags struct {
	Topic topicName `help:"Prefix of the names of topic and queues, and of the keys in Redis: letters, digits, - and _." default:"jangbu" env:"JANGBU_TOPIC" placeholder:"NAME"`
}

// topicName begins the name of every queue.
type topicName string

// Decode implements kong.MapperValue.
func (n *topicName) Decode(ctx *kong.DecodeContext) error {
	var name string
	if err := ctx.Scan.PopValueInto("name", &name); err != nil {
		return err
	}
	*n = topicName(name)
	return bus.CheckTopic(name, subscriptions())
}

// shopAccess names all that a shop keeps: its log, and what is made of it.
type shopAccess struct {
	storeFlags
	redisFlags
	shopFlags
}

type workerFlags struct {
	Workers int `help:"Receivers of each view's queue; what they bring is landed together." default:"4" env:"JANGBU_WORKERS" placeholder:"N"`
}

// Validate implements kong.Validatable for the modes that embed it.
func (f *workerFlags) Validate() error {
	if f.Workers < 1 {
		return fmt.Errorf("--workers must be at least 1, not %d", f.Workers)
	}
	return nil
}

// dataFlags name the folder of an embedded event store.
type dataFlags struct {
	Data string `help:"Folder of the event store's file." default:"./data" type:"path" env:"JANGBU_DATA" placeholder:"DIR"`
}

func (f dataFlags) file() string { return filepath.Join(f.Data, storeFile) }

// embeddedFlags say where the embedded servers listen and keep their data.
type embeddedFlags struct {
	dataFlags
	Eventstore listenAddr `help:"Address of the embedded event store; port 0 picks a free one." default:"127.0.0.1:2113" env:"JANGBU_EVENTSTORE_LISTEN" placeholder:"ADDR"`
	AWS        listenAddr `name:"aws" help:"Address of the embedded SNS and SQS." default:"127.0.0.1:4566" env:"JANGBU_AWS_LISTEN" placeholder:"ADDR"`
	Redis      listenAddr `help:"Address of the embedded Redis." default:"127.0.0.1:6379" env:"JANGBU_REDIS_LISTEN" placeholder:"ADDR"`
}

// viewArg is the name of a view.
type viewArg string

// Decode implements kong.MapperValue.
func (a *viewArg) Decode(ctx *kong.DecodeContext) error {
	var name string
	if err := ctx.Scan.PopValueInto("view", &name); err != nil {
		return err
	}
	if _, ok := view.Named(name); !ok {
		return fmt.Errorf("there is no view %q: choose from %s", name, strings.Join(viewNames(), ", "))
	}
	*a = viewArg(name)
	return nil
}

func (a viewArg) view() *view.View {
	v, _ := view.Named(string(a))
	return v
}

// listenAddr is host:port; ":port" is every interface, and a bare port is the loopback interface.
type listenAddr string

// Decode implements kong.MapperValue.
func (l *listenAddr) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("address", &text); err != nil {
		return err
	}
	if _, err := strconv.Atoi(text); err == nil {
		text = net.JoinHostPort("127.0.0.1", text)
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as 127.0.0.1:8080, :8080 or 8080", text)
	}
	*l = listenAddr(text)
	return nil
}

// webURL reads a URL that HTTP reaches.
func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL such as http://127.0.0.1:8080", text)
	}
	return u, nil
}

// reachable is the address at which a client on this machine finds a listener.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
