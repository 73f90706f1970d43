package redis

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	json "github.com/alicebob/miniredis/v2/gopher-json"
	"github.com/alicebob/miniredis/v2/server"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/alicebob/miniredis/v2"
)

// scripts runs EVALSHA. miniredis makes a new Lua interpreter, with all its libraries, for every call, which costs several times
// what a short script does and most of the garbage of a shop in one process; here one interpreter serves all calls, as in
// Redis. Scripts that need more of the redis library than redis.call, and connections that are in a transaction or use another
// database, are left to miniredis.
type scripts struct {
	mini   *miniredis.Miniredis
	nested any // what miniredis knows a connection by that a script calls through: it holds the lock already

	mu    sync.Mutex
	known map[string]*lua.FunctionProto // by SHA-1
	conns map[*server.Peer]*conn        // and nothing else that miniredis calls a peer

	interpreter *interpreter // used with mini's lock held; nil after a failure
}

// conn is a connection of a client. While either holds, miniredis runs its scripts.
type conn struct {
	elsewhere bool // it has chosen a database
	inMulti   bool
}

// beyond finds what of the redis library a script needs that is not here, once here and comment are taken away.
var (
	beyond  = regexp.MustCompile(`\b(redis|server|os|debug)\s*\.`)
	here    = regexp.MustCompile(`\bredis\.call\(`)
	comment = regexp.MustCompile(`--[^\n]*`)
)

// serveScripts takes over the calls of scripts. Clients may call meanwhile, PING too, so the start's own has an argument that nobody
// else knows.
func serveScripts(mini *miniredis.Miniredis) {
	s := &scripts{mini: mini, known: map[string]*lua.FunctionProto{}, conns: map[*server.Peer]*conn{}}
	srv := mini.Server()
	outer := server.NewPeer(bufio.NewWriter(io.Discard))
	own := rand.Text()
	srv.SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd == "PING" && slices.Equal(args, []string{own}) {
			s.nested = c.Ctx
		}
		return false
	})
	srv.Dispatch(outer, []string{"EVAL", "return redis.call('PING', ARGV[1])", "0", own})
	if s.nested == nil {
		srv.SetPreHook(nil) // another miniredis than this was written for: slower, and the same otherwise
		return
	}
	srv.SetPreHook(s.hook)
}

// hook sees every command before miniredis does, and reports whether it was dealt with.
func (s *scripts) hook(c *server.Peer, cmd string, args ...string) bool {
	if c.Ctx == nil { // a connection's first command; what a script calls has a context from the beginning
		s.connected(c)
	}
	if c.Ctx == s.nested {
		return false
	}
	switch cmd {
	case "SCRIPT":
		s.script(args)
	case "SELECT":
		s.change(c, func(k *conn) { k.elsewhere = true })
	case "MULTI":
		s.change(c, func(k *conn) { k.inMulti = true })
	case "EXEC", "DISCARD":
		s.change(c, func(k *conn) { k.inMulti = false })
	case "EVALSHA":
		return s.evalSHA(c, args)
	}
	return false
}

func (s *scripts) connected(c *server.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c] != nil {
		return
	}
	s.conns[c] = &conn{}
	c.OnDisconnect(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	})
}

func (s *scripts) change(c *server.Peer, do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.conns[c]; k != nil {
		do(k)
	}
}

// script learns which scripts there are. What does not compile miniredis refuses.
func (s *scripts) script(args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(args) == 2 && strings.EqualFold(args[0], "LOAD"):
		text := args[1]
		if beyond.MatchString(here.ReplaceAllString(comment.ReplaceAllString(text, ""), "(")) {
			return
		}
		chunk, err := parse.Parse(strings.NewReader(text), "script")
		if err != nil {
			return
		}
		if proto, err := lua.Compile(chunk, "script"); err == nil {
			sum := sha1.Sum([]byte(text))
			s.known[hex.EncodeToString(sum[:])] = proto
		}
	case len(args) > 0 && strings.EqualFold(args[0], "FLUSH"):
		clear(s.known)
	}
}

func (s *scripts) evalSHA(c *server.Peer, args []string) bool {
	if len(args) < 2 {
		return false
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 0 || n > len(args)-2 {
		return false
	}
	s.mu.Lock()
	proto, k := s.known[args[0]], s.conns[c]
	plain := k != nil && *k == conn{}
	s.mu.Unlock()
	if proto == nil || !plain {
		return false
	}
	value, err := s.run(proto, args[2:2+n], args[2+n:])
	if err != nil {
		c.WriteError("ERR Error running script: " + err.Error())
		return true
	}
	writeLua(c, value)
	return true
}

// run runs a script while no other command runs.
func (s *scripts) run(proto *lua.FunctionProto, keys, argv []string) (lua.LValue, error) {
	s.mini.Lock()
	defer s.mini.Unlock()
	if s.interpreter == nil {
		in, err := newInterpreter(s.mini.Server(), s.nested)
		if err != nil {
			return nil, err
		}
		s.interpreter = in
	}
	value, err := s.interpreter.run(proto, keys, argv)
	if err != nil {
		s.interpreter.lua.Close()
		s.interpreter = nil
	}
	return value, err
}

// interpreter is Lua with redis.call.
type interpreter struct {
	lua    *lua.LState
	server *server.Server
	peer   *server.Peer
	answer bytes.Buffer
	out    *bufio.Writer
}

// strict makes it an error to set a global, as in Redis: nothing passes from one script to the next.
const strict = `setmetatable(_G, {
	__newindex = function(_, name) error("Script attempted to create global variable '" .. tostring(name) .. "'", 2) end,
	__index = function(_, name) error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2) end,
})`

func newInterpreter(srv *server.Server, nested any) (*interpreter, error) {
	in := &interpreter{server: srv, lua: lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 1 << 15})}
	in.out = bufio.NewWriter(&in.answer)
	in.peer = server.NewPeer(in.out)
	in.peer.Ctx = nested
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath} {
		in.lua.Push(in.lua.NewFunction(open))
		in.lua.Push(lua.LString(name))
		if err := in.lua.PCall(1, 0, nil); err != nil {
			return nil, err
		}
	}
	in.lua.Push(in.lua.NewFunction(json.Loader))
	if err := in.lua.PCall(0, 1, nil); err != nil {
		return nil, err
	}
	in.lua.SetGlobal("cjson", in.lua.Get(-1))
	in.lua.SetGlobal("unpack", in.lua.NewFunction(unpack))
	library := in.lua.NewTable()
	library.RawSetString("call", in.lua.NewFunction(in.call))
	in.lua.SetGlobal("redis", library)
	if err := in.lua.DoString(strict); err != nil {
		return nil, err
	}
	in.lua.SetTop(0)
	return in, nil
}

func (in *interpreter) run(proto *lua.FunctionProto, keys, argv []string) (lua.LValue, error) {
	globals := in.lua.G.Global
	globals.RawSetString("KEYS", luaList(in.lua, keys))
	globals.RawSetString("ARGV", luaList(in.lua, argv))
	in.lua.Push(in.lua.NewFunctionFromProto(proto))
	if err := in.lua.PCall(0, 1, nil); err != nil {
		var failed *lua.ApiError
		if errors.As(err, &failed) {
			return nil, errors.New(failed.Object.String())
		}
		return nil, err
	}
	value := in.lua.Get(-1)
	in.lua.SetTop(0)
	return value, nil
}

func luaList(l *lua.LState, list []string) *lua.LTable {
	t := l.CreateTable(len(list), 0)
	for i, s := range list {
		t.RawSetInt(i+1, lua.LString(s))
	}
	return t
}

// maxUnpack is some less than Redis allows, which is 8,000 with all else that the caller holds.
const maxUnpack = 7000

// unpack is that of Lua, with a limit.
func unpack(l *lua.LState) int {
	list := l.CheckTable(1)
	from := l.OptInt(2, 1)
	to := l.OptInt(3, list.Len())
	if to-from >= maxUnpack {
		l.RaiseError("too many results to unpack")
	}
	for i := from; i <= to; i++ {
		l.Push(list.RawGetInt(i))
	}
	return max(0, to-from+1)
}

// maxNumber is where Redis and this Lua begin to write a number in different ways. One that is concatenated is not seen here.
const maxNumber = 1e14

// call is redis.call. It refuses a number that Redis would write otherwise; string.format says how it is meant.
func (in *interpreter) call(l *lua.LState) int {
	args := make([]string, l.GetTop())
	for i := range args {
		switch a := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(a)
		case lua.LNumber:
			if n := float64(a); n != math.Trunc(n) || math.Abs(n) >= maxNumber {
				l.RaiseError("the number %v must be given to redis.call as a string", n)
			}
			args[i] = a.String()
		default:
			l.RaiseError("arguments of redis.call must be strings or integers")
		}
	}
	if len(args) == 0 {
		l.RaiseError("redis.call needs a command")
	}
	in.answer.Reset()
	in.server.Dispatch(in.peer, args)
	in.peer.Flush()
	value, _, err := readLua(l, in.answer.Bytes())
	if err != nil {
		l.RaiseError("%s", err.Error())
	}
	l.Push(value)
	return 1
}

// readLua reads an answer in the protocol's second version, and returns what follows it.
func readLua(l *lua.LState, answer []byte) (lua.LValue, []byte, error) {
	line, rest, ok := bytes.Cut(answer, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, nil, fmt.Errorf("answer %q cannot be read", answer)
	}
	switch line[0] {
	case '+':
		status := l.NewTable()
		status.RawSetString("ok", lua.LString(line[1:]))
		return status, rest, nil
	case '-':
		return nil, nil, errors.New(string(line[1:]))
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil {
		return nil, nil, fmt.Errorf("answer %q cannot be read", line)
	}
	switch {
	case line[0] == ':':
		return lua.LNumber(n), rest, nil
	case n < 0:
		return lua.LFalse, rest, nil
	case line[0] == '$' && len(rest) >= n+2:
		return lua.LString(rest[:n]), rest[n+2:], nil
	case line[0] == '*':
		list := l.CreateTable(n, 0)
		for i := range n {
			var value lua.LValue
			if value, rest, err = readLua(l, rest); err != nil {
				return nil, nil, err
			}
			list.RawSetInt(i+1, value)
		}
		return list, rest, nil
	}
	return nil, nil, fmt.Errorf("answer %q cannot be read", line)
}

// writeLua answers with what a script returned, by the rules of Redis: a number is cut to a whole one, false is nothing, and a list
// ends at its first nil.
func writeLua(c *server.Peer, value lua.LValue) {
	switch v := value.(type) {
	case lua.LString:
		c.WriteBulk(string(v))
	case lua.LNumber:
		c.WriteInt(int(v))
	case lua.LBool:
		if v {
			c.WriteInt(1)
		} else {
			c.WriteNull()
		}
	case *lua.LTable:
		if failed := v.RawGetString("err"); failed != lua.LNil {
			c.WriteError(failed.String())
			return
		}
		if ok := v.RawGetString("ok"); ok != lua.LNil {
			c.WriteInline(ok.String())
			return
		}
		n := 0
		for v.RawGetInt(n+1) != lua.LNil {
			n++
		}
		c.WriteLen(n)
		for i := range n {
			writeLua(c, v.RawGetInt(i+1))
		}
	default:
		c.WriteNull()
	}
}
