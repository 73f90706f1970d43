package bus

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/logging"

	"jangbu/domain/event"
)

// Config says where the bus is. The zero value takes everything from the standard AWS environment.
type Config struct {
	// Topic is the prefix of the topic's and the queues' names: letters, digits, hyphens, underscores. Default "jangbu".
	Topic string
	// Region and Endpoint override AWS_REGION and AWS_ENDPOINT_URL. When the endpoint is on this machine, region and
	// credentials need not be set anywhere.
	Region   string
	Endpoint string
	// MaxReceives is how often a message is received before it goes to the dead-letter queue. Default 10.
	MaxReceives int
	// Visibility is how long a received message stays hidden, in whole seconds. Default 30 s.
	Visibility time.Duration
	// Dial makes a connection. Default: by TCP, within 2 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (c Config) withDefaults() Config {
	if c.Topic == "" {
		c.Topic = "jangbu"
	}
	if c.MaxReceives == 0 {
		c.MaxReceives = 10
	}
	if c.Visibility == 0 {
		c.Visibility = 30 * time.Second
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return c
}

const (
	callTimeout   = 10 * time.Second // of each request, beyond what a long poll waits
	callAttempts  = 2                // the callers retry for as long as it takes; this only bridges a connection that had gone stale
	maxRetryDelay = 50 * time.Millisecond
)

// Bus is the connection to SNS and SQS. It is safe for concurrent use.
type Bus struct {
	cfg      Config
	sns      *sns.Client
	sqs      *sqs.Client
	http     *httpClient
	topicARN atomic.Pointer[string] // nil: not known, or no longer trusted
	decoded  *decoder

	mu     sync.Mutex
	queues map[string]*Queue // by name
}

// Connect prepares a bus. It makes no request: the endpoint may be absent.
func Connect(ctx context.Context, cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	endpoint := cfg.Endpoint
	if endpoint == "" {
		endpoint = os.Getenv("AWS_ENDPOINT_URL") // the SDK reads it by itself; here it only says whether it is local
	}
	local, err := isLoopback(endpoint)
	if err != nil {
		return nil, fmt.Errorf("connect bus: %w", err)
	}
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // what matters comes back as an error
		config.WithHTTPClient(awshttp.NewBuildableClient()),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = callAttempts
				o.MaxBackoff = maxRetryDelay
			})
		}),
	}
	if cfg.Endpoint != "" {
		options = append(options, config.WithBaseEndpoint(cfg.Endpoint))
	}
	if local {
		options = append(options, config.WithDefaultRegion("us-east-1"))
		if os.Getenv("AWS_ACCESS_KEY_ID") == "" {
			options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
		}
	}
	if cfg.Region != "" {
		options = append(options, config.WithRegion(cfg.Region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("connect bus: %w", err)
	}
	if settings.Region == "" {
		return nil, fmt.Errorf("connect bus: no AWS region is set (AWS_REGION)")
	}
	client := newHTTPClient(settings.HTTPClient, cfg.Dial)
	settings.HTTPClient = client
	return &Bus{cfg: cfg, sns: sns.NewFromConfig(settings, tuneSNS), sqs: sqs.NewFromConfig(settings, tuneSQS), http: client,
		queues: map[string]*Queue{}, decoded: newDecoder()}, nil
}

// isLoopback reports whether an endpoint is on this machine.
func isLoopback(endpoint string) (bool, error) {
	if endpoint == "" {
		return false, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return false, fmt.Errorf("endpoint %q is not a URL", endpoint)
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback(), nil
}

// Close gives up idle connections. Calls under way are not disturbed.
func (b *Bus) Close() { b.http.client.CloseIdleConnections() }

// Queue is the queue of a view. It need not exist.
func (b *Bus) Queue(view string) *Queue {
	return b.queueNamed(b.queueName(view), b.deadLetterName(view))
}

// DeadLetters is the dead-letter queue of a view: what could not be handled. It need not exist.
func (b *Bus) DeadLetters(view string) *Queue { return b.queueNamed(b.deadLetterName(view), "") }

const maxQueueName = 80 // characters, at SQS

// CheckTopic says why the topic and the queues of those subscriptions cannot have names that begin so.
func CheckTopic(prefix string, subs []Subscription) error {
	for _, c := range prefix {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", c) {
			return fmt.Errorf("%q cannot begin the name of a queue: use letters, digits, - and _", prefix)
		}
	}
	b := Bus{cfg: Config{Topic: prefix}}
	for _, sub := range subs {
		if more := len(b.deadLetterName(sub.View)) - maxQueueName; more > 0 {
			return fmt.Errorf("%q is too long to begin the name of a queue: use at most %d characters", prefix, len(prefix)-more)
		}
	}
	return nil
}

func (b *Bus) topicName() string                 { return b.cfg.Topic + "-events" }
func (b *Bus) queueName(view string) string      { return b.cfg.Topic + "-" + view }
func (b *Bus) deadLetterName(view string) string { return b.cfg.Topic + "-" + view + "-dlq" }

func (b *Bus) queueNamed(name, deadLetters string) *Queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if q == nil {
		q = &Queue{bus: b, name: name, deadLetters: deadLetters}
		b.queues[name] = q
	}
	return q
}

// topic returns the ARN of the topic, looking for it among the account's topics when it is not known. It never creates
// one: a topic without subscriptions would swallow events.
func (b *Bus) topic(ctx context.Context) (string, error) {
	if arn := b.topicARN.Load(); arn != nil {
		return *arn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pages := sns.NewListTopicsPaginator(b.sns, &sns.ListTopicsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", fmt.Errorf("find topic %s: %w", b.topicName(), classify(err))
		}
		for _, t := range page.Topics {
			if arn := aws.ToString(t.TopicArn); strings.HasSuffix(arn, ":"+b.topicName()) {
				b.topicARN.Store(&arn)
				return arn, nil
			}
		}
	}
	return "", fmt.Errorf("topic %s: %w", b.topicName(), event.ErrNotProvisioned)
}

// distrust forgets the topic's ARN after an error that says it is gone.
func (b *Bus) distrust(arn string, err error) {
	if known := b.topicARN.Load(); isGone(err) && known != nil && *known == arn {
		b.topicARN.CompareAndSwap(known, nil)
	}
}
