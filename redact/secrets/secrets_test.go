package secrets

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func detector(t testing.TB) *Detector {
	t.Helper()
	d, err := New(Options{Passwords: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// found returns what d finds in text, as text.
func found(t testing.TB, d *Detector, text string) (out []string) {
	t.Helper()
	finds, err := d.Append(nil, []byte(text), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range finds {
		out = append(out, text[f.Start:f.End])
	}
	return out
}

// Parts of made-up secrets are put together here, so that no scanner finds them in this file.
const (
	key20 = "k3Jx9QzT7bVn2RmW5pYd"
	key32 = key20 + "8fLc4GhS6tAe"
	key36 = key32 + "1uBo"
	key40 = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzQ83kdu2Lm"
	body  = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDAC4AWkdwKYSd8\nKs14IReLcYgADhoXk56ZzXI="
	long  = body + "\n" + key40 + key20 + "\n" + key20 + "="
	jwt   = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.kvRPfjAhLhtRTczoRgctVGp7KY1QVH3U"
)

func TestFinds(t *testing.T) {
	d := detector(t)
	pem := func(label, body string) string {
		return "-----BEGIN " + label + "-----\n" + body + "\n-----END " + label + "-----"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"gitleaks: token", "the token is ghp_" + key36 + ", keep it", "ghp_" + key36},
		{"gitleaks: assignment", `{"api_key": "` + key32 + `"}`, key32},
		{"gitleaks: at the beginning", "ghp_" + key36, "ghp_" + key36},
		{"gitleaks: entropy", `api_key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"`, ""},
		{"gitleaks: stopword", `api_key = "` + key20 + `-example-` + `"`, ""},
		{"gitleaks: allow-list on the match", `public_key = "` + key32 + `"`, ""},
		{"gitleaks: allow-list of one rule", "AKIAIOSFODNN7" + "EXAMPLE", ""},
		{"gitleaks: its comment is no way out", `api_key = "` + key32 + `" # gitleaks:allow`, key32},
		{"gitleaks: a file's name is no way out", "--- a/node_modules/go.sum\n" + `api_key = "` + key32 + `"`, key32},
		{"gitleaks: a far-off line is no way out", `{"a":"--mount=type=secret,` + strings.Repeat(" ", 400) + `","api_key":"` + key32 + `"}`, key32},

		{"gitleaks: a checksum", "example.org/api/key v1.2.0 h1:" + key40 + key20[:3] + "=\n", ""},
		{"gitleaks: an integrity hash", `"api_key": "sha512-` + key40 + key40 + `=="`, ""},
		{"gitleaks: a method", "acts like s.ReadUint16LengthPrefixed, but", ""},
		{"gitleaks: a token of Vault", "token s." + key20 + "8fLc", "s." + key20 + "8fLc"},

		{"pem", "key:\n" + pem("PRIVATE KEY", body) + "\nend", pem("PRIVATE KEY", body)},
		{"pem: encrypted, with headers", pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"+body), pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"+body)},
		{"pem: openssh", pem("OPENSSH PRIVATE KEY", body), pem("OPENSSH PRIVATE KEY", body)},
		{"pem: pgp", pem("PGP PRIVATE KEY BLOCK", body+"\n=8xQN"), pem("PGP PRIVATE KEY BLOCK", body+"\n=8xQN")},
		{"pem: ssh2", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n" + body + "\n---- END SSH2 ENCRYPTED PRIVATE KEY ----", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n" + body + "\n---- END SSH2 ENCRYPTED PRIVATE KEY ----"},
		{"pem: no end", `{"k":"-----BEGIN EC PRIVATE KEY-----\n` + body + `"}`, `-----BEGIN EC PRIVATE KEY-----\n` + body},
		{"pem: escaped", `"` + strings.ReplaceAll(pem("PRIVATE KEY", body), "\n", `\n`) + `"`, strings.ReplaceAll(pem("PRIVATE KEY", body), "\n", `\n`)},
		{"pem: string pieces", `"-----BEGIN PRIVATE KEY-----\n" + ` + "\n\"" + strings.ReplaceAll(body, "\n", "\\n\" +\n\"") + `\n-----END PRIVATE KEY-----"`,
			`-----BEGIN PRIVATE KEY-----\n" + ` + "\n\"" + strings.ReplaceAll(body, "\n", "\\n\" +\n\"") + `\n-----END PRIVATE KEY-----`},
		{"pem: long", pem("PRIVATE KEY", strings.Repeat(body+"\n", 500)), pem("PRIVATE KEY", strings.Repeat(body+"\n", 500))},
		{"pem: public", pem("PUBLIC KEY", body), ""},
		{"pem: empty", "-----BEGIN OPENSSH PRIVATE KEY----------END OPENSSH PRIVATE KEY-----", ""},
		{"pem: words", pem("PRIVATE KEY", "anything"), ""},
		{"pem: quoted mail", ">" + strings.ReplaceAll(pem("PRIVATE KEY", long), "\n", "\n> "), strings.ReplaceAll(pem("PRIVATE KEY", long), "\n", "\n> ")},
		{"pem: html", strings.ReplaceAll(pem("PRIVATE KEY", long), "\n", "<br>") + "<p>", strings.ReplaceAll(pem("PRIVATE KEY", long), "\n", "<br>")},
		{"pem: lines in objects", `[{"n":0,"text":"` + strings.ReplaceAll(pem("PRIVATE KEY", long), "\n", `"},{"n":1,"text":"`) + `"}]`, strings.ReplaceAll(pem("PRIVATE KEY", long), "\n", `"},{"n":1,"text":"`)},
		{"pem: not what follows far off", `{"k":"-----BEGIN PRIVATE KEY-----\n` + body + `"}` + strings.Repeat(" ", 99) + key40 + key40, `-----BEGIN PRIVATE KEY-----\n` + body},
		{"putty", "PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 2\n" + key40 + "\n" + key40 + "\nPrivate-MAC: 00", key40 + "\n" + key40},
		{"age", "AGE-SECRET-KEY-1" + strings.Repeat("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA", 2)[:58], "AGE-SECRET-KEY-1" + strings.Repeat("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA", 2)[:58]},

		{"url: postgres", "postgres://app:s3cr3t-9@db:5432/x", "s3cr3t-9"},
		{"url: mongodb", "mongodb+srv://app:hunter2@c0.example.net/?w=1", "hunter2"},
		{"url: no user", "redis://:p4ss0rd9@cache:6379/0", "p4ss0rd9"},
		{"url: slash in it", "amqp://a:pa/ss9#w@mq/", "pa/ss9#w"},
		{"url: at sign in it", "https://a:pa@ss9w@host/", "pa@ss9w"},
		{"url: port", "see http://localhost:8080/a@b", ""},
		{"url: variable", "postgres://app:${DB_PASSWORD}@db/x", ""},
		{"url: word and digits", "postgres://app:secret123@db:5432/x", "secret123"},
		{"url: weak", "postgres://app:test@db/x", "test"},
		{"url: placeholder and digits", "postgres://app:secret123@localhost/x", ""},
		{"url: two", "postgres://a:s3cr3t-9@h,postgres://b:s3cr3t-8@h", "s3cr3t-9|s3cr3t-8"},
		{"go dsn", "app:Tr0ub4dor&3x@tcp(db:3306)/x?parseTime=true", "Tr0ub4dor&3x"},
		{"go dsn: words", "user:password@tcp(db:3306)/x", ""},
		{"oracle", "jdbc:oracle:thin:scott/Tr0ub4dor@//h:1521/x", "Tr0ub4dor"},
		{"netrc", "machine h\n  login u\n  password correct-horse", "correct-horse"},
		{"pgpass", "db.example:5432:x:app:Tr0ub4dor\n", "Tr0ub4dor"},
		{"command line", "tool --password Tr0ub4dor3 --user x", "Tr0ub4dor3"},
		{"command line: words", "with --password authentication, --password <pw> --token $TOKEN", ""},
		{"curl", "curl -s -u app:Tr0ub4dor&3x https://x.example", "Tr0ub4dor&3x"},
		{"curl: variable", "curl -u app:$PASSWORD1 https://x.example", ""},
		{"environment", "export PGPASSWORD=Tr0ub4dor&3x; psql", "Tr0ub4dor&3x"},
		{"environment: a variable", "DB_PASSWORD=${DB_PASSWORD_2} DB_PASSWORD=changeme1 x", ""},
		{"mysql", "mysql -uapp -pTr0ub4dor3 db", "Tr0ub4dor3"},
		{"mysql: port", "mysql -P 3306 -p db", ""},
		{"bcrypt", "u:$2y$10$" + key40[:7] + key40[12:18] + key40, "$2y$10$" + key40[:7] + key40[12:18] + key40},
		{"shadow", "root:$6$" + key20[:8] + "$" + key36 + key36 + key20[:14] + ":19000:0", "$6$" + key20[:8] + "$" + key36 + key36 + key20[:14]},
		{"argon2", "$argon2id$v=19$m=65536,t=3,p=4$" + key20 + "$" + key40, "$argon2id$v=19$m=65536,t=3,p=4$" + key20 + "$" + key40},
		{"url: words", "postgresql://user:password@host/db", ""},
		{"ado", "Server=tcp:db,1433;User ID=sa;Password=Tr0ub4dor&3;Encrypt=True", "Tr0ub4dor"},
		{"ado: quoted", `Server=db;Uid=sa;Pwd='a;b"c1';`, `a;b"c1`},
		{"jdbc", "jdbc:mysql://db/x?user=app&password=zx81-spectrum", "zx81-spectrum"},
		{"ado: no password", `["USER=go", "PWD=/tmp/x1"]`, ""},
		{"libpq", "host=db user=app password=n0tthis1 dbname=x", "n0tthis1"},
		{"storage account", "AccountName=a;AccountKey=" + key40 + key40 + "==;EndpointSuffix=x", key40 + key40 + "=="},

		{"jwt", "got " + jwt + ".", jwt},
		{"jwt: in a list", "[" + jwt + ",1]", jwt},
		{"basic", "Authorization: Basic dXNlcjpodW50ZXIy\r\nHost: x", "dXNlcjpodW50ZXIy"},
		{"bearer", "> authorization: bearer " + key32, key32},
		{"json headers", `{"headers":{"Authorization":"Bearer ` + key32 + `"}}`, key32},
		{"header list", `{"Authorization": ["Bearer ` + key32 + `"]}`, key32},
		{"header pair", `[["authorization","Bearer ` + key32 + `"]]`, key32},
		{"header object", `{"name": "Authorization", "value": "Basic dXNlcjpodW50ZXIy"}`, "dXNlcjpodW50ZXIy"},
		{"header object: key", `{"name":"X-Api-Key","value":"` + key20 + `"}`, key20},
		{"raw headers", `["Host","x","Authorization","Basic dXNlcjpodW50ZXIy","Cookie","sid=` + key20 + `"]`, "dXNlcjpodW50ZXIy|" + key20},
		{"bearer alone", "got Bearer " + key32 + ".", key32},
		{"bearer: words", "Bearer authentication-methods-supported by the server", ""},
		{"cookie object", `{"cookies":[{"name":"sid","value":"` + key20 + `"}]}`, key20},
		{"variable object", `{"name": "DB_PASSWORD", "value": "Tr0ub4dor&3x"}, {"name": "PORT", "value": "a1b2c3d4e5f6"}`, "Tr0ub4dor&3x"},
		{"other object", `{"name":"color","value":"` + key20 + `"}`, ""},
		{"xml", "<apiKey>" + key32 + "</apiKey>", key32},
		{"xml: password", "<db:password>Tr0ub4dor&3x</db:password>", "Tr0ub4dor&3x"},
		{"xml: page", "<NextToken>" + key32 + "</NextToken>", ""},
		{"no scheme", `"proxy-authorization": "` + key32 + `"`, key32},
		{"digest", `Authorization: Digest username="u", response="6629fae49393a05397450978507c4ef1"` + "\n", `username="u", response="6629fae49393a05397450978507c4ef1"`},
		{"authorization: stand-in", "Authorization: Bearer <your token>", ""},
		{"authorization: variable", "Authorization: Bearer $API_KEY", ""},
		{"authorization: words", "authorization: required for this endpoint", ""},
		{"cookie", "Cookie: theme=dark; sid=" + key20 + "; lang=en", key20},
		{"cookies", "cookie: a=" + key20 + "; b=" + key32, key20 + "; b=" + key32},
		{"set-cookie", "Set-Cookie: id=" + key20 + "; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly", key20},
		{"cookie: json", `{"set-cookie":["id=` + key20 + `; Path=/"]}`, key20},
		{"cookie: a loop", "for _, cookie := range c.Jar.Cookies(cookieURL) {\n", ""},
		{"cookie: words", "Cookie: theme=dark; consent=everything", ""},
		{"api key header", "X-Api-Key: " + key20, key20},
		{"private token", "PRIVATE-TOKEN: " + key20, key20},
		{"query", "https://h/x?a=1&access_token=" + key20 + "&b=2", key20},
		{"aws signature", "https://s3/x?X-Amz-Expires=9&X-Amz-Signature=" + key40[20:] + "aa00", key40[20:] + "aa00"},
		{"query: an id", "https://h/x?transId=1234567890", ""},
		{"aws secret", `aws_secret_access_key = ` + key40, key40},
		{"aws secret next to its id", "AKIA" + "QYLPMN5HHHFPZAM2" + "," + key40 + "\n", "AKIA" + "QYLPMN5HHHFPZAM2|" + key40},
		{"password", `{"password": "Tr0ub4dor"}`, "Tr0ub4dor"},
		{"password: words", `{"password": "your_password_here"}`, ""},
		{"password: schema", `{"password": {"type": "string", "minLength": 12}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := found(t, d, tt.text)
			for _, want := range strings.Split(tt.want, "|") {
				if want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
					t.Errorf("found %q, want %q", got, want)
				}
			}
		})
	}
}

// What is found must not depend on where it is: the filter looks at every second
// place, and reads the clock between stretches.
func TestFindsAnywhere(t *testing.T) {
	d := detector(t)
	secrets := []string{"ghp_" + key36, "AKIA" + "QYLPMN5HHHFPZAM2", jwt, "s3cr3t-9"}
	for _, before := range []int{0, 1, 2, 3, 7, 8, 9, checkBytes - 9, checkBytes - 2, checkBytes - 1, checkBytes} {
		for i, secret := range secrets {
			text := strings.Repeat(" ", before) + secret
			if i == 3 {
				text = strings.Repeat(" ", before) + "db://u:" + secret + "@h"
			}
			for _, after := range []string{"", " ", "\n and so on"} {
				if got := found(t, d, text+after); !slices.Contains(got, secret) {
					t.Errorf("%d bytes before, %q after: found %q, want %q", before, after, got, secret)
				}
			}
		}
	}
}

func TestAscendingAndDistinct(t *testing.T) {
	d := detector(t)
	finds, err := d.Append([]Find{{1, 2, "before"}}, dense(1<<16), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if finds[0] != (Find{1, 2, "before"}) || len(finds) < 300 {
		t.Fatalf("%d finds, the first %v", len(finds), finds[0])
	}
	for i := 2; i < len(finds); i++ {
		if finds[i].Start < finds[i-1].Start || finds[i].Start == finds[i-1].Start && finds[i].End == finds[i-1].End {
			t.Errorf("%v after %v", finds[i], finds[i-1])
		}
	}
}

func TestDisable(t *testing.T) {
	d, err := New(Options{Disable: []string{"github-pat"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := found(t, d, "ghp_"+key36); got != nil {
		t.Errorf("found %q by a disabled rule", got)
	}
	if got := found(t, d, `"password": "Tr0ub4dor"`); got != nil {
		t.Errorf("found %q without Passwords", got)
	}
}

func TestTime(t *testing.T) {
	d := detector(t)
	if _, err := d.Append(nil, []byte("x"), time.Now().Add(-time.Second)); !errors.Is(err, ErrTime) {
		t.Errorf("got %v, want ErrTime", err)
	}
	text := bytes.Repeat(keywords(1<<20), 32)
	start := time.Now()
	_, err := d.Append(nil, text, start.Add(50*time.Millisecond))
	if took := time.Since(start); !errors.Is(err, ErrTime) || took > time.Second {
		t.Errorf("got %v after %v, want ErrTime at once", err, took)
	}
}

func TestCleanTextAllocatesNothing(t *testing.T) {
	d := detector(t)
	text := flat(1 << 16)
	var finds []Find
	if n := testing.AllocsPerRun(20, func() { finds, _ = d.Append(finds[:0], text, time.Time{}) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrentFirstUse(t *testing.T) {
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := found(t, d, "ghp_"+key36); !slices.Contains(got, "ghp_"+key36) {
				t.Errorf("found %q", got)
			}
		})
	}
	wg.Wait()
}

// Texts that make a matcher slow must not get it past its time.
func TestHostileTextsEnd(t *testing.T) {
	d := detector(t)
	for _, unit := range []string{
		"ey-", "ey12345678901234567.ey-", "key=", "key: ", "secret_key", "curl -H ", "curl ", "data: ", "kind: secret data: ",
		"-----BEGIN PRIVATE KEY", "-----BEGIN PRIVATE KEY-----\n", "://a:", "://a:b@", "password=", "cookie: a=", "authorization: Digest ",
		"authorization:", "AKIA", "sk-ant-api03-", "sourcegraph ", "facebook 1234567890123456", "x-api-key:", "'-key'", "?token=", "A3T", "eyJ", "xoxb-",
		"hooks.slack.com/", "\"\"", "----", "https://", "ops_eyJ", "AGE-SECRET-KEY-1Q",
	} {
		text := []byte(strings.Repeat(unit, (1<<18)/len(unit)))
		start := time.Now()
		_, err := d.Append(nil, text, start.Add(100*time.Millisecond))
		took := time.Since(start)
		if err != nil && !errors.Is(err, ErrTime) {
			t.Fatal(err)
		}
		t.Logf("%q: %v, %v", unit, took.Round(time.Millisecond), err)
		if took > 2*time.Second && !raceEnabled || took > 20*time.Second {
			t.Errorf("%q: 256 KiB took %v, beyond the limit of 100 ms", unit, took)
		}
	}
}

func FuzzAppend(f *testing.F) {
	d := detector(f)
	for _, s := range []string{
		"ghp_" + key36, "api_key = '" + key32 + "'", "-----BEGIN PRIVATE KEY-----\n" + body, "Cookie: a=" + key20 + "; b=" + key32,
		"postgres://u:p4ss@h", "curl -u a:b -H \"Authorization: Basic dXNlcjpodW50ZXIy\"\n", jwt, "\xff\xfe ſecret_key='K'", "Private-Lines: 9\nAAAA",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		finds, err := d.Append(nil, text, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range finds {
			if f.Start < 0 || f.End > len(text) || f.Start >= f.End || f.Rule == "" || i > 0 && f.Start < finds[i-1].Start {
				t.Fatalf("find %v in %d bytes", f, len(text))
			}
		}
		again, err := d.Append(nil, text, time.Time{})
		if err != nil || !slices.Equal(finds, again) {
			t.Fatalf("found %v, then %v", finds, again)
		}
	})
}
