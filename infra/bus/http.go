package bus

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	idleConnections = 128      // a host: every worker of every view polls on a connection of its own
	ioBuffer        = 64 << 10 // a full batch of events in few reads and writes
)

// httpClient is what the SDK sends its requests through.
type httpClient struct{ client http.Client }

// newHTTPClient tunes a client of its own from the transport that the SDK's configuration has made, which knows the
// environment's proxies and certificates. Neither service redirects.
func newHTTPClient(configured aws.HTTPClient, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *httpClient {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if buildable, ok := configured.(*awshttp.BuildableClient); ok {
		transport = buildable.GetTransport()
	}
	transport.DialContext = dial
	transport.MaxIdleConns = 2 * idleConnections
	transport.MaxIdleConnsPerHost = idleConnections
	transport.DisableCompression = true
	transport.WriteBufferSize, transport.ReadBufferSize = ioBuffer, ioBuffer
	return &httpClient{http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Do sends a request whose body can be read but not asked to write itself.
//
// The SDK closes a request's body when the answer's head has come. net/http may then still be looking whether the body
// has ended, and the SDK's WriteTo (smithy-go v1.28) calls a closed body an error where its Read calls it the end. net/http
// takes that for a failed request and closes the connection, under an answer not yet read: with a server near enough to answer
// first, receives lose their messages until the visibility timeout, and connections are rarely used twice.
func (c *httpClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		plain := *r
		plain.Body = struct{ io.ReadCloser }{r.Body}
		r = &plain
	}
	return c.client.Do(r)
}
