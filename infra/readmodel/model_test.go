package readmodel_test

import (
	"testing"

	"jangbu/infra/readmodel/modeltest"
	"jangbu/test/servers"
)

func TestModel(t *testing.T) {
	for _, redis := range servers.Redises() {
		t.Run(redis.Name, func(t *testing.T) { modeltest.Run(t, redis.Start(t)) })
	}
}
