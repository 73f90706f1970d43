package bus

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
)

// endpoint resolves where a client sends its requests once; the SDK walks its rules for every call, though nothing that they
// depend on ever changes for one client.
type endpoint[P any] struct {
	resolve func(context.Context, P) (smithyendpoints.Endpoint, error)
	known   atomic.Pointer[smithyendpoints.Endpoint]
}

// ResolveEndpoint implements EndpointResolverV2 of both services.
func (e *endpoint[P]) ResolveEndpoint(ctx context.Context, params P) (smithyendpoints.Endpoint, error) {
	if known := e.known.Load(); known != nil {
		return *known, nil
	}
	resolved, err := e.resolve(ctx, params)
	if err == nil {
		e.known.Store(&resolved)
	}
	return resolved, err
}

func tuneSNS(o *sns.Options) {
	o.EndpointResolverV2 = &endpoint[sns.EndpointParameters]{resolve: sns.NewDefaultEndpointResolverV2().ResolveEndpoint}
}

// tuneSQS also leaves out what TLS, or one machine's memory, sees to already.
func tuneSQS(o *sqs.Options) {
	o.EndpointResolverV2 = &endpoint[sqs.EndpointParameters]{resolve: sqs.NewDefaultEndpointResolverV2().ResolveEndpoint}
	o.DisableMessageChecksumValidation = true
}
