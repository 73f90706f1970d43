package readmodel

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed stamp.lua
	stampLua string
	//go:embed document.lua
	documentLua string
	//go:embed land.lua
	landLua string
	//go:embed compose.lua
	composeLua string
	//go:embed states.lua
	statesOnlyLua string
	//go:embed save.lua
	saveLua string
	//go:embed giveup.lua
	giveUpLua string
	//go:embed begin.lua
	beginLua string
	//go:embed step.lua
	stepLua string
	//go:embed forget.lua
	forgetLua string
	//go:embed lease.lua
	leaseLua string
	//go:embed advance.lua
	advanceLua string
	//go:embed touch.lua
	touchLua string
	//go:embed swept.lua
	sweptLua string
	//go:embed drop.lua
	dropLua string
)

var (
	takeStepLua = giveUpLua + stepLua
	statesLua   = stampLua + statesOnlyLua

	landScript    = redis.NewScript(documentLua + stampLua + landLua)
	composeScript = redis.NewScript(documentLua + composeLua)
	beginScript   = redis.NewScript(giveUpLua + beginLua)
	stepScript    = redis.NewScript(takeStepLua)
	forgetScript  = redis.NewScript(forgetLua)
	leaseScript   = redis.NewScript(leaseLua)
	sweptScript   = redis.NewScript(sweptLua)

	scripts = []*redis.Script{landScript, composeScript, beginScript, stepScript, forgetScript, leaseScript, sweptScript}

	fenced = []string{statesLua, saveLua, advanceLua, takeStepLua, touchLua, dropLua}
)
