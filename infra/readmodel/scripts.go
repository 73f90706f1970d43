package readmodel

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed document.lua
	documentLua string
	//go:embed land.lua
	landLua string
	//go:embed compose.lua
	composeLua string
	//go:embed states.lua
	statesLua string
	//go:embed begin.lua
	beginLua string
	//go:embed step.lua
	stepLua string
	//go:embed lease.lua
	leaseLua string
	//go:embed advance.lua
	advanceLua string
)

var (
	landScript    = redis.NewScript(documentLua + landLua)
	composeScript = redis.NewScript(documentLua + composeLua)
	statesScript  = redis.NewScript(statesLua)
	beginScript   = redis.NewScript(beginLua)
	stepScript    = redis.NewScript(stepLua)
	leaseScript   = redis.NewScript(leaseLua)
	advanceScript = redis.NewScript(advanceLua)

	scripts = []*redis.Script{landScript, composeScript, statesScript, beginScript, stepScript, leaseScript, advanceScript}
)
