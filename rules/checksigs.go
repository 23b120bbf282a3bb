package rules

// What rules can name and call, for the checks at load. Whoever adds to the
// environment of conditions adds it here.

// A signature is what a function or method takes and gives.
type signature struct {
	params   []kinds // what each argument may be; those beyond are not looked at
	variadic bool    // the last one repeats
	result   *typ
}

const anything = kindAll &^ kindNil // that is there

// environmentTypes are the names of every expression, beside args and input.
// Whether it may name the result of a call is for the compiler to say.
var environmentTypes = map[string]*typ{
	"tool": record("tool", map[string]*typ{
		"name": ofKinds(kindString), "server": ofKinds(kindString), "labels": listOf(ofKinds(kindString)),
		"annotations": record("tool.annotations", map[string]*typ{
			"title": ofKinds(kindString), "readOnlyHint": ofKinds(kindBool), "destructiveHint": ofKinds(kindBool),
			"idempotentHint": ofKinds(kindBool), "openWorldHint": ofKinds(kindBool),
		}, nil),
	}, nil),
	"session": record("session", map[string]*typ{
		"labels": listOf(ofKinds(kindString)), "calls": atLeastZero(), "started": ofKinds(kindTime),
	}, nil),
	"user": record("user", map[string]*typ{
		"subject": ofKinds(kindString), "groups": listOf(ofKinds(kindString)), "claims": claims(),
	}, nil),
	"client": record("client", map[string]*typ{
		"name": ofKinds(kindString), "version": ofKinds(kindString),
	}, nil),
	"result": record("result", map[string]*typ{
		"text": ofKinds(kindString), "json": unknown(kindJSON), "isError": ofKinds(kindBool),
	}, nil),
}

// resultType is that of result, in rules on results.
var resultType = record("result", map[string]*typ{
	"text": ofKinds(kindString), "json": unknown(kindJSON), "isError": ofKinds(kindBool),
}, nil)

var (
	inNetworks   = signature{params: []kinds{kindString | kindList}, variadic: true, result: ofKinds(kindBool)}
	stringList   = listOf(ofKinds(kindString))
	emailAddress = record("email", map[string]*typ{
		"address": ofKinds(kindString), "local": ofKinds(kindString), "host": ofKinds(kindString), "domain": ofKinds(kindString), "name": ofKinds(kindString),
	}, map[string]signature{"in": inNetworks})
	shellCommand = record("shell.command", map[string]*typ{
		"name": ofKinds(kindString), "args": stringList, "assigns": stringList, "dynamic": ofKinds(kindBool),
	}, nil)
	sqlStatement = record("sql.statement", map[string]*typ{
		"kind": ofKinds(kindString), "tables": stringList, "writes": stringList, "functions": stringList, "columns": stringList,
		"hasWhere": ofKinds(kindBool), "limit": atLeastZero(), "readOnly": ofKinds(kindBool),
	}, nil)
)

// helperTypes are the functions beside expr's own.
var helperTypes = map[string]signature{
	"url": {params: []kinds{kindString}, result: record("url", map[string]*typ{
		"scheme": ofKinds(kindString), "host": ofKinds(kindString), "port": atLeastZero(), "path": ofKinds(kindString),
		"query": ofKinds(kindString), "fragment": ofKinds(kindString), "user": ofKinds(kindBool),
		"domain": ofKinds(kindString), "ip": ofKinds(kindString),
		"private": ofKinds(kindBool), "loopback": ofKinds(kindBool), "linkLocal": ofKinds(kindBool),
		"metadata": ofKinds(kindBool), "public": ofKinds(kindBool),
	}, map[string]signature{"in": inNetworks})},
	"ip": {params: []kinds{kindString}, result: record("ip", map[string]*typ{
		"canonical": ofKinds(kindString), "version": atLeastZero(), "zone": ofKinds(kindString), "embedded": ofKinds(kindString), "private": ofKinds(kindBool), "loopback": ofKinds(kindBool),
		"linkLocal": ofKinds(kindBool), "metadata": ofKinds(kindBool), "multicast": ofKinds(kindBool), "public": ofKinds(kindBool),
	}, map[string]signature{"in": inNetworks})},
	"email":  {params: []kinds{kindString}, result: emailAddress},
	"emails": {params: []kinds{kindString | kindList}, result: listOf(emailAddress)},
	"path": {params: []kinds{kindString}, result: record("path", map[string]*typ{
		"clean": ofKinds(kindString), "abs": ofKinds(kindString), "base": ofKinds(kindString), "dir": ofKinds(kindString),
		"ext": ofKinds(kindString), "hidden": ofKinds(kindBool), "hasSymlink": ofKinds(kindBool), "exists": ofKinds(kindBool),
	}, map[string]signature{"within": {params: []kinds{kindString | kindList}, variadic: true, result: ofKinds(kindBool)}})},
	"sql": {params: []kinds{kindString, kindString}, result: record("sql", map[string]*typ{
		"kind": ofKinds(kindString), "statements": listOf(sqlStatement), "columns": stringList, "tables": stringList, "writes": stringList,
		"functions": stringList, "readOnly": ofKinds(kindBool),
	}, nil)},
	"shell": {params: []kinds{kindString}, result: record("shell", map[string]*typ{
		"commands": listOf(shellCommand), "names": stringList, "writes": stringList, "reads": stringList,
		"simple": ofKinds(kindBool), "dynamic": ofKinds(kindBool),
	}, nil)},
	"seen":    {params: []kinds{anything | kindNil}, result: ofKinds(kindBool)},
	"trusted": {params: []kinds{anything | kindNil}, result: ofKinds(kindBool)},
	"tainted": {params: []kinds{anything | kindNil}, result: ofKinds(kindBool)},
	"sources": {params: []kinds{anything | kindNil}, result: stringList},
	"leaves": {params: []kinds{anything | kindNil}, result: listOf(record("leaf", map[string]*typ{
		"path": ofKinds(kindString), "value": unknown(kindScalar),
	}, nil))},
	"calls":  {params: []kinds{kindString, kindString}, result: atLeastZero()},
	"secret": {params: []kinds{anything | kindNil}, result: ofKinds(kindBool)},
	"pii":    {params: []kinds{anything | kindNil, kindString}, result: ofKinds(kindBool)},
}

// The methods of times and durations.
var (
	timeMethods = map[string]signature{
		"Year": {result: ofKinds(kindInt)}, "Month": {result: ofKinds(kindInt)}, "Day": {result: ofKinds(kindInt)},
		"Hour": {result: ofKinds(kindInt)}, "Minute": {result: ofKinds(kindInt)}, "Second": {result: ofKinds(kindInt)},
		"Weekday": {result: ofKinds(kindInt)}, "YearDay": {result: ofKinds(kindInt)}, "Unix": {result: ofKinds(kindInt)},
		"UTC": {result: ofKinds(kindTime)}, "In": {params: []kinds{kindZone}, result: ofKinds(kindTime)},
		"Before": {params: []kinds{kindTime}, result: ofKinds(kindBool)}, "After": {params: []kinds{kindTime}, result: ofKinds(kindBool)},
		"Equal": {params: []kinds{kindTime}, result: ofKinds(kindBool)}, "Add": {params: []kinds{kindDuration}, result: ofKinds(kindTime)},
		"Sub": {params: []kinds{kindTime}, result: ofKinds(kindDuration)},
	}
	durationMethods = map[string]signature{
		"Hours": {result: ofKinds(kindNumber)}, "Minutes": {result: ofKinds(kindNumber)}, "Seconds": {result: ofKinds(kindNumber)},
		"Milliseconds": {result: ofKinds(kindInt)}, "String": {result: ofKinds(kindString)},
	}
)

// builtinTypes are expr's own functions that take values; those that take
// predicates, and those whose result depends on what they get, are elsewhere.
var builtinTypes = map[string]signature{
	"len":    {params: []kinds{kindString | kindList | kindObject}, result: atLeastZero()},
	"type":   {params: []kinds{kindAll &^ kindZone}, result: typeNames()},
	"string": {params: []kinds{kindScalar | kindTime | kindDuration}, result: ofKinds(kindString)},
	"int":    {params: []kinds{kindNumber | kindString | kindDuration}, result: ofKinds(kindInt)},
	"float":  {params: []kinds{kindNumber | kindString}, result: ofKinds(kindNumber)},
	"abs":    {params: []kinds{kindNumber}, result: atLeastZero().with(kindNumber)},
	"ceil":   {params: []kinds{kindNumber}, result: ofKinds(kindFloat)},
	"floor":  {params: []kinds{kindNumber}, result: ofKinds(kindFloat)},
	"round":  {params: []kinds{kindNumber}, result: ofKinds(kindFloat)},
	"trim":   texted(2), "trimPrefix": texted(2), "trimSuffix": texted(2), "upper": texted(1), "lower": texted(1),
	"toBase64": texted(1), "fromBase64": texted(1),
	"replace":   {params: []kinds{kindString, kindString, kindString, kindInt}, result: ofKinds(kindString)},
	"repeat":    {params: []kinds{kindString, kindInt}, result: ofKinds(kindString)},
	"indexOf":   {params: []kinds{kindString, kindString}, result: ofKinds(kindInt)},
	"hasPrefix": {params: []kinds{kindString, kindString}, result: ofKinds(kindBool)},
	"hasSuffix": {params: []kinds{kindString, kindString}, result: ofKinds(kindBool)}, "lastIndexOf": {params: []kinds{kindString, kindString}, result: ofKinds(kindInt)},
	"toJSON":   {params: []kinds{kindJSON | kindMissing | kindTime}, result: ofKinds(kindString)},
	"fromJSON": {params: []kinds{kindString}, result: unknown(kindJSON)},
	"now":      {params: []kinds{kindZone}, result: ofKinds(kindTime)},
	"date":     {params: []kinds{kindString | kindZone, kindString, kindString}, result: ofKinds(kindTime)},
	"duration": {params: []kinds{kindString}, result: ofKinds(kindDuration)},
	"timezone": {params: []kinds{kindString}, result: ofKinds(kindZone)},
	"keys":     {params: []kinds{kindObject}, result: stringList},
	"mean":     {params: []kinds{kindNumber | kindList}, variadic: true, result: ofKinds(kindNumber)},
	"median":   {params: []kinds{kindNumber | kindList}, variadic: true, result: ofKinds(kindNumber)},
	"bitand":   {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitor":    {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitxor":   {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitnand":  {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitshl":   {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitshr":   {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitushr":  {params: []kinds{kindInt, kindInt}, result: ofKinds(kindInt)},
	"bitnot":   {params: []kinds{kindInt}, result: ofKinds(kindInt)},
}

func texted(n int) signature {
	return signature{params: []kinds{kindString, kindString}[:n], result: ofKinds(kindString)}
}

func atLeastZero() *typ {
	t := ofKinds(kindInt)
	t.min = 0
	return t
}

func typeNames() *typ {
	t := ofKinds(kindString)
	for name := range typeKinds {
		t.consts = append(t.consts, name)
	}
	return t
}

// claims are those of a token, of which nothing is known.
func claims() *typ {
	t := ofKinds(kindObject)
	t.object = &objectType{rest: func() *typ { return unknown(kindJSON) }, open: true}
	return t
}

// record is an object that this program makes: all of its fields are there.
func record(name string, fields map[string]*typ, methods map[string]signature) *typ {
	t := ofKinds(kindObject)
	t.object = &objectType{name: name, fields: map[string]field{}, methods: methods, declares: true}
	for name, f := range fields {
		t.object.fields[name] = field{typ: func() *typ { return f }, required: true}
	}
	return t
}
