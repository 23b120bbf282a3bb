package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A sample is a condition on an argument, and what has to be found in it.
type sample struct{ when, want string }

// samples writes right and wrong conditions from what a schema says of an
// argument: with the guards that it needs, and without; of the right type, and
// of another.
func samples(m *maker, path string, schema any, required bool, depth int) (right []string, wrong []sample) {
	s, ok := schema.(map[string]any)
	if !ok || depth > 3 {
		return nil, nil
	}
	for _, k := range []string{"$ref", "anyOf", "oneOf", "allOf"} {
		if s[k] != nil { // what it is takes the code under test to say
			return []string{path + " == nil or " + path + " != nil", "type(" + path + `) != "string" or ` + path + ` + "x" != "y"`}, nil
		}
	}
	kind, _ := s["type"].(string)
	nullable := false
	if list, ok := s["type"].([]any); ok {
		for _, k := range list {
			if k == "null" {
				nullable = true
			} else if kind == "" {
				kind, _ = k.(string)
			} else {
				return []string{fmt.Sprintf(`type(%s) != "string" or %[1]s contains "x"`, path), fmt.Sprintf(`type(%s) == "array" and len(%[1]s) > 3`, path)}, nil
			}
		}
	}
	use, unfit := "", ""
	switch kind {
	case "string":
		use, unfit = path+` startsWith "a"`, path+` % 2 == 0`
		if list, ok := s["enum"].([]any); ok && len(list) > 0 {
			v, ok := list[0].(string)
			if !ok {
				return nil, nil
			}
			use = fmt.Sprintf("%s in [%q]", path, v)
			right = append(right, fmt.Sprintf("%s == %q", path, v), fmt.Sprintf("%s != %q", path, v))
			wrong = append(wrong, sample{fmt.Sprintf("%s == %q", path, v+"_no"), "can never be"})
			if required && !nullable {
				wrong = append(wrong, sample{path + ` matches "^no such value$"`, "can never be"})
			} else {
				use = path + ` endsWith "` + v[len(v)-1:] + `"`
			}
		} else if s["const"] == nil && s["pattern"] == nil && s["maxLength"] == nil && s["minLength"] == nil {
			right = append(right, path+` == "abc"`)
		} else {
			use, unfit = "len("+path+") > 0", path+` % 2 == 0`
		}
		wrong = append(wrong, sample{path + " == 5", "can never be"})
	case "integer", "number":
		use, unfit = path+" * 2 != 7", path+` contains "x"`
		if f, ok, _ := toFloat(s["maximum"]); ok && required && !nullable {
			wrong = append(wrong, sample{fmt.Sprintf("%s > %f", path, f+1), "can never be"})
		}
		wrong = append(wrong, sample{path + ` == "5"`, "can never be"})
	case "boolean":
		use, unfit = "not "+path, path+` contains "x"`
		wrong = append(wrong, sample{path + ` == "true"`, "can never be"})
	case "array":
		use, unfit = "len("+path+") > 2", path+` contains "x"`
		items, nested := samples(m, "#", s["items"], true, depth+1)
		guarded := path
		if !required || nullable {
			guarded = "(" + path + " ?? [])"
		}
		for _, x := range items {
			right = append(right, fmt.Sprintf("any(%s, %s)", guarded, x))
		}
		for _, x := range nested {
			wrong = append(wrong, sample{fmt.Sprintf("all(%s, %s)", guarded, x.when), x.want})
		}
	case "object":
		use, unfit = "len("+path+") > 2", path+" > 3"
		properties, _ := s["properties"].(map[string]any)
		needs, _ := s["required"].([]any)
		for _, name := range sortedNames(properties) {
			if !isName(name) {
				continue
			}
			there := required && !nullable
			guard := ""
			if !there {
				guard = path + " != nil and "
			}
			inner, nested := samples(m, path+"."+name, properties[name], slices.Contains(needs, any(name)), depth+1)
			for _, x := range inner {
				right = append(right, guard+"("+x+")")
			}
			for _, x := range nested {
				wrong = append(wrong, sample{guard + "(" + x.when + ")", x.want})
			}
		}
		if len(properties) > 0 && s["additionalProperties"] == false {
			guard := path + " == nil or "
			wrong = append(wrong, sample{guard + path + ".no_such_member == 3", `has no "no_such_member"`})
		}
	default:
		return nil, nil
	}
	if !required || nullable {
		right = append(right, fmt.Sprintf("%s != nil and (%s)", path, use), fmt.Sprintf("%s == nil or %s", path, use), fmt.Sprintf("%s == nil ? false : %s", path, use))
		if !nullable && strings.HasPrefix(path, "args.") && strings.Count(path, ".") == 1 {
			right = append(right, fmt.Sprintf("%q in args and %s", path[5:], use))
		}
		missing := "may be missing"
		if required {
			missing = "may be null"
		}
		wrong = append(wrong, sample{use, missing})
		if required == nullable { // missing as well as null, or neither
			wrong = wrong[:len(wrong)-1]
		}
		use = fmt.Sprintf("%s != nil and %s", path, use)
		unfit = fmt.Sprintf("%s != nil and %s", path, unfit)
	}
	return append(right, use), append(wrong, sample{unfit, "takes"})
}

func TestCheckRecorded(t *testing.T) {
	rights, wrongs := 0, 0
	for i, tool := range recordedTools(t) {
		if testing.Short() && i%10 != 0 {
			continue
		}
		tool.Server = "s"
		m := newMaker(tool.InputSchema, rand.New(rand.NewPCG(uint64(i), 2)))
		root, _ := m.root.(map[string]any)
		properties, _ := root["properties"].(map[string]any)
		needs, _ := root["required"].([]any)
		var right []string
		var wrong []sample
		for _, name := range sortedNames(properties) {
			if !isName(name) {
				continue
			}
			r, w := samples(m, "args."+name, properties[name], slices.Contains(needs, any(name)), 0)
			right, wrong = append(right, r...), append(wrong, w...)
			if root["additionalProperties"] == nil || root["additionalProperties"] == false {
				if typo := name + "z"; properties[typo] == nil && len(name) > 2 {
					wrong = append(wrong, sample{fmt.Sprintf(`(args.%s ?? "") == "x"`, typo), fmt.Sprintf("there is no argument %q", typo)},
						sample{fmt.Sprintf(`%q in args`, typo), fmt.Sprintf("there is no argument %q", typo)})
				}
			}
		}
		// Compiling takes longer than all of the rest, and is tested elsewhere.
		k := newChecking(mustPolicy(t, Source{Tools: Patterns{Default: Allow}}), []Capability{tool})
		check := func(when string) []Finding {
			if (rights+wrongs)%50 == 0 {
				if _, problem := compileCondition(when, onCall); problem != nil {
					t.Fatalf("%s: %s", when, problem)
				}
			}
			x, err := parseExpression(when)
			if err != nil {
				t.Fatalf("%s: %s", when, err)
			}
			return k.expression("when", x, k.tools, kindBool, false)
		}
		for _, when := range right {
			rights++
			for _, f := range check(when) {
				if !f.Warning {
					t.Errorf("%s.%s: %s: %s", tool.Server, tool.Name, when, findingText(f))
				}
			}
		}
		for _, s := range wrong {
			wrongs++
			found := check(s.when)
			if len(found) != 1 || found[0].Warning || !strings.Contains(found[0].Message, s.want) && !(s.want == "takes" && strings.Contains(found[0].Message, ": ")) {
				t.Errorf("%s.%s: %s: %+v, want %s", tool.Server, tool.Name, s.when, found, s.want)
			}
		}
		if t.Failed() && i > 60 {
			break
		}
	}
	t.Logf("%d right and %d wrong conditions", rights, wrongs)
	if !testing.Short() && (rights < 10_000 || wrongs < 10_000) || wrongs == 0 {
		t.Error("too few to say anything")
	}
}
