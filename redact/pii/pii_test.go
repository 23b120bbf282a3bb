package pii

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// all returns the finds as "type value".
func all(t testing.TB, d *Detector, text string) []string {
	t.Helper()
	finds, err := d.Append(nil, []byte(text), time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range finds {
		got = append(got, f.Type+" "+text[f.Start:f.End])
	}
	return got
}

// TestTypes has the examples that issuers publish, or numbers made by their
// published rule. What is between « and » is the find; the others hold none.
func TestTypes(t *testing.T) {
	d := detector(t, Options{})
	for name, texts := range examples {
		for _, text := range texts {
			t.Run(name+"/"+text, func(t *testing.T) { check(t, d, name, text) })
		}
	}
	for _, k := range Types() {
		if !slices.ContainsFunc(examples[k.Name], func(s string) bool { return strings.Contains(s, "«") }) {
			t.Errorf("%s has no example", k.Name)
		}
		if k.Description == "" || strings.Contains(k.Description, "\n") {
			t.Errorf("%s: description %q", k.Name, k.Description)
		}
	}
}

func check(t *testing.T, d *Detector, name, text string) {
	t.Helper()
	var want []string
	plain := strings.NewReplacer("«", "", "»", "").Replace(text)
	for _, part := range strings.Split(text, "«")[1:] {
		value, _, _ := strings.Cut(part, "»")
		want = append(want, name+" "+value)
	}
	if got := all(t, d, plain); !slices.Equal(got, want) {
		t.Errorf("%q\ngot  %q\nwant %q", plain, got, want)
	}
}

var examples = map[string][]string{
	"email": {
		"write to «jane.doe+news@mail.example.co.uk».", "<«x@example.org»>", `{"from":"«o'brien@example.ie»"}`, "mailto:«a_b%c@example.com»?subject=x",
		"«user@[192.0.2.1]»", "«josé@correo.es» und «用户@例子.广告»", "«jane＠example.com»", "«ja\u200bne@exam\u200bple.com»", "«a@example。com»",
		"to=«a@b.com»&cc=«c@d.org»", "'«a@b.com»'", "see «a@b.com».Then", "«first@corp.local», «SHOUT@EXAMPLE.COM»", "«user@xn--bcher-kva.example»",
		"«1234567890@qq.com»", "«jane.@corp.com»", "ubuntu@10.0.0.1", "«a@b.ck» «a@b.com.bd»",
		"for example «jane@gmail.com»", "jane: «jane@example.com»", "the address (e.g. user@example.com), examples: support@contoso.com",
		"@mention and a@b and foo@bar.nosuchtld", "react@18.2.0 @types/node@20.1.0 pkg@latest", "https://user:pass@host.example.com/x", "ssh://git@github.com/x",
		"git@github.com:owner/repo.git", "icon@2x.png", ".@example.com", "a@.com a@-b.c @example.com", "\"@example.com\"",
		strings.Repeat("a", 65) + "@example.com",
	},
	"phone": {
		// Numbers that regulators set aside for fiction, and libphonenumber's examples.
		"«+44 20 7946 0018», «+1 202-555-0143» or «+49 30 23125 000»", "«+442079460018»", "«+33 1 99 00 12 34»", "tel:«+12025550143»", "«+44 (0)20 7946 0018»",
		"«(202) 555-0143» «202-555-0143» «202.555.0143» «1-202-555-0143»", "«020 7946 0018»", "«06 39 98 12 34»", "«030/23125000»",
		"Phone: «2025550143»", `{"phone":"«2025550143»"}`, `{"phoneNumber": «2025550143»}`, `{"mobile_number":"«9876543210»"}`, "Tel. «555 0143»", "«555 0143» office", "«2025550143» office", "«+447700677662»",
		"Office: «2025550143»", "please call me at «2025550143»", "please call «450 0840»", "fax «202-555-0143 x12»", "Telefon: «030 23125 000 ext. 7»",
		"电话：«010 6552 9988»", "Телефон «8 (495) 123-45-67»", "＋８１: «+８１ ３ ５２２２ ００００»", "«+44\u00a020\u20097946\u202f0018»", "«+44‑20‑7946‑0018»",
		"+\u200b44? «+44 20 79\u200b46 0018»", "«0049 30 23125 000»", "«011 44 20 7946 0018»", "(«+44 20 7946 0018»)",
		`{"type":"phone","value":"«2025550143»"}`, "tel«0302312500»",
		"{'phone': '«2025550143»', 'id': 2025550143}", "1,202,555,014", "call 1,234,567", "order 2025550143", `{"id":2025550143,"total":5550143}`, `{"phone":"«+442079460018»","id":2025550143}`, `{"phone_number_id":"123456789012345"}`,
		"«+52 1 55 1234 5678»", "«1 (415) 555-2671» «415/555-2671» «(415) 555-2671 ext. 5»", "«001-812-555-0100x456» «+1-812-555-0100x123» «1.812.555.0100» «00 1 812 555 0100»",
		"«138-0013-8000» «138 0013 8000»", "«8 (916) 123-45-67», «(11) 91234-5678»", "Call me at «13812345678».", "You can reach Jane on «32123456» tomorrow", "text «2125550187» or call «07700900123»",
		"Please contact «9876543210».", "«0412.345.678»", "call at 20240102, text 1700000000, call me at 1700000000", `{"text":"9876543210"}`, "call 12345678", "(12) 34567-8901",
		"2024-01-02 03:04:05", "phone released 2024-01-02, 20240102", "1.234.567.890", "call 1234567", "12345-67890", "3.14159265358979", "0000-0000", "+0000 +1 +12",
		"call 10.5.2024 15:00", "UTC+01:00, a+44207946001", "x = y +12025550143456789", "555-0143 apples", "10-20-30-40", "1 2 3 4 5 6 7 8 9 10 11 12",
		"lines 100-200 300-400", "-0.5 0.25 123 456 789", "D3\u06f6G h\u06f6",
	},
	"credit_card": {
		// Test numbers that the schemes publish.
		"«4111111111111111»", "«4111 1111 1111 1111»", "«4111-1111-1111-1111»", "«5555.5555.5555.4444»", "«3782 822463 10005»", "«378282246310005»", "«6011000990139424»",
		"«3530111333300000»", "«2223003122003222»", "«6200000000000005»", "card «30569309025904»", "«3056 930902 5904»", "card «4222222222222»", "cc:«6759649826438453»",
		"«4111 1111 1111 1111» 12/25 123", "«４１１１ １１１１ １１１１ １１１１»", "«4111\u00a01111\u20091111\u202f1111»", "«41111\u200b11111111111»", "«4111\u200b\u2060\u200b1111\u200b \u200b1111\ufeff1111»", "«4111–1111–1111–1111»",
		"«41 11 11 11 11 11 11 11»", "«4111 1111 1111 1111» 1225 123", "«4111111111111111»:12:25:123", "«4111111111111111»/12/25", "7,«4111111111111111»,123", "[«4111111111111111»,«5555555555554444»]",
		"1:«4111111111111111»", "{'card': «4111111111111111», 'n': 1}", "«4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1»", `{"pan":«4111111111111111»}`, `{"card_id":"«4111111111111111»"}`, "card4111111111111111x", "card«4111111111111111»",
		"?card=«4111111111111111»&x=1", "«٤١١١١١١١١١١١١١١١»", `{"number":«4111111111111111»}`, "カード番号は«4111111111111111»です",
		`{"id":4111111111111111}`, `{"order_id":"4111111111111111"}`, "4111111111111112", "0.4111111111111111", "4111111111111111.5", "/items/4111111111111111",
		"a4111111111111111", "41111111111111110000000000", "4111111111111111e10", "deadbeef4111111111111111", "0000000000000000", "1234 5678 9012 3456",
		"4111111111111111-4111-4111", `"ts":1700000000000`, "9f4111111111111111", "abc-4111111111111111-def", strings.Repeat("１", 64) + "4111111111111111", "7 4111 1111 1111 11", "23 22 21 20 19 18 17 16", "card 23 22 21 20 19 18 17 16",
		"«36879061301904»", `{"number":"«36497981333475»"}`, "«6296201752517357639»", "Please charge «4144895799528» today.", "pay with «4687946795034009946»", `{"id":36879061301904}`, "4144895799528",
	},
	"iban": {
		// SWIFT IBAN Registry.
		"«GB29NWBK60161331926819»", "«GB29 NWBK 6016 1331 9268 19»", "IBAN «DE89 3704 0044 0532 0130 00».", "«FR14 2004 1010 0505 0001 3M02 606»", "«NO9386011117947»",
		"«MT84MALT011000012345MTLCAST001S»", "«de89370400440532013000»", "«SA03 8000 0000 6080 1016 7519»", "IBAN«NL91ABNA0417164300»", "«GB29-NWBK-6016-1331-9268-19»",
		"«BE68\u00a05390\u00a00754\u00a07034»", "«BE68 5390 0754 7034» and 12", "«DE89\u200b370400440532013000»", `"iban":"«CH9300762011623852957»"`,
		"GB29NWBK60161331926818", "XX29NWBK60161331926819", "GB29NWBK6016133192681", "GB29NWBK601613319268190", "aGB29NWBK60161331926819", "be94a1139597364c", `{"span":"be94a1139597364c"}`,
		"«GB29  NWBK  6016  1331  9268  19»", "IBAN: «DE05\n6523\n8155\n6628\n6967\n70».", "IBAN: «DE 05 65238155 6628696770».", "x_«DE05652381556628696770»", "customer_iban_«DE05652381556628696770»", "iban «be94a1139597364c»",
	},
	"ip": {
		"from «203.0.113.7»:8080", "«10.1.2.3»/24", `"ip":"«198.51.100.23»"`, "«2001:db8::8a2e:370:7334»", "[«2001:db8::1»]:443", "«fe80::1ff:fe23:4567:890a»", "«2001:0db8:85a3:0000:0000:8a2e:0370:7334»",
		"http://«203.0.113.7»/x", "«::ffff:203.0.113.7»", "«fd12:3456:789a:1::1»", "at «203.0.113.7».",
		"127.0.0.1 0.0.0.0 ::1 :: 255.255.255.255 224.0.0.1", "version 1.2.3.4", "v1.2.3.4", "Chrome/120.0.6099.109", "1.2.3.4.5", "1.2.3", "256.1.1.1", "01.2.3.4", "10.0.0.0",
		"12:30:45", "00:1a:2b:3c:4d:5e", "00:11:22:33:44:55:66:77", "std::1::2", "a::b", "1::2", "2024-01-02T03:04:05Z", "ab:cd:ef:01:23:45:67:89:ab:cd",
	},
	"ssn":              {"«219-09-9998»", "SSN «219099998»", "social security number is «219 09 9998»", `{"ssn":«219099998»}`, "219099998", "000-12-3456", "666-12-3456", "900-12-3456", "219-00-9998", "219-09-0000", "1219-09-9998", "219-09-9998-1", "a-219-09-9998", "219.09.9998"},
	"uk_nino":          {"«AB123456C», «AB 12 34 56 C»", "QQ123456C", "NI number «ab123456c»", "NINO: «AB123456»"},
	"uk_nhs":           {"NHS number «943 476 5919»", "nhs_number: «9434765919»", "9434765919", "NHS number 943 476 5918"},
	"ca_sin":           {"SIN «130 692 544»", "numéro d'assurance sociale «130692544»", "130 692 544", "SIN 130 692 545"},
	"de_tax_id":        {"Steuer-ID «86095742719»", "«86 095 742 719»", `"steuer_id": "«47036892816»"`, "86095742719", "Steuer-ID 86095742718"},
	"fr_nir":           {"«255081416802538»", "«2 55 08 14 168 025 38»", "«2550814168025 38»", "255081416802539"},
	"es_dni":           {"«12345678Z»", "DNI «12345678-Z»", "DNI: «12.345.678-Z»", "dni «12345678z»", "12345678A", "12345678z"},
	"es_nie":           {"«X1234567L»", "«Z1234567R»", "NIE «X-1234567-L»", "X1234567A"},
	"it_fiscal_code":   {"«MRTMTT91D08F205J»", "«RSSMRA85T10A562S»", "«rssmra85t10a562s»", "CF «RSS MRA 85T10 A562S»", "RSS MRA 85T10 A562T", "RSSMRA85T10A562T"},
	"nl_bsn":           {"BSN «111222333»", "burgerservicenummer: «1112.22.333»", "111222333", "BSN 111222334"},
	"be_nrn":           {"«85.07.30-033.28»", "«85073003328»", "85073003329"},
	"ch_ahv":           {"«756.9217.0769.85»", "«7569217076985»", "756.9217.0769.86"},
	"pl_pesel":         {"PESEL «44051401359»", `{"pesel":"«44051401359»"}`, "44051401359", "PESEL 44051401358"},
	"pt_nif":           {"NIF «123456789»", "contribuinte «232 013 969»", "123456789", "NIF 123456788"},
	"se_personnummer":  {"«811228-9874»", "«19811228-9874»", "personnummer «8112289874»", "811228-9875", "8112289874"},
	"no_fodselsnummer": {"«01010750160»", "«010107 50160»", "01010750161"},
	"dk_cpr":           {"CPR: «070761-4285»", "cpr-nummer «0707614285»", "211062-5629", "CPR 320761-4285"},
	"fi_hetu":          {"«131052-308T»", "«131052A308T»", "131052-308U"},
	"br_cpf":           {"«529.982.247-25»", "CPF «52998224725»", "52998224725", "529.982.247-24", "CPF 111.111.111-11"},
	"br_cnpj":          {"«11.222.333/0001-81»", "«12.ABC.345/01DE-35» «12.ABC.345/01DE-35».", "cnpj: «12ABC34501DE35»", "12ABC34501DE35", "12.ABC.345/01DE-36", "CNPJ «11222333000181»", "11222333000181", "11.222.333/0001-82"},
	"mx_curp":          {"«HEGG560427MVZRRL04»", "HEGG560427MVZRRL05"},
	"ar_cuit":          {"«20-12345678-6»", "CUIL «20123456786»", "20-12345678-5", "20123456786"},
	"cl_rut":           {"«12.345.678-5»", "RUT «12345678-5»", "RUT «1.000.005-K»", "12345678-5", "12.345.678-6"},
	"in_aadhaar":       {"Aadhaar «2341 2341 2346»", "आधार «234123412346»", "2341 2341 2346", "Aadhaar 2341 2341 2347"},
	"in_pan":           {"«ABCPE1234F»", "PAN: «ABCCE1234F»", "ABCCE1234F", "ABCXE1234F"},
	"cn_resident_id":   {"«11010519491231002X»", "«440524188001010014»", "身份证号：«11010519491231002x»", "110105194912310021"},
	"jp_my_number":     {"マイナンバー：«1234 5678 9018»", "my number «123456789018»", "123456789018", "マイナンバー 123456789019"},
	"kr_rrn":           {"«730629-1234569»", "주민등록번호 «7306291234569»", "730629-1234567", "7306291234569"},
	"au_tfn":           {"TFN «123 456 782»", "tax file number: «123456782»", "123 456 782", "TFN 123 456 783"},
	"au_medicare":      {"Medicare «2123 45670 1»", "medicare card «2123456701»", "2123 45670 1", "Medicare 2123 45671 1"},
	"sg_nric":          {"«S1234567D»", "«T1234567J»", "S1234567A"},
	"za_id":            {"ID number «8001015009087»", "«800101 5009 087»", `{"za_id":"«8001015009087»"}`, "8001015009087", "SA ID 8001015009088"},
	"tr_tckn":          {"TCKN «10000000146»", "T.C. Kimlik No: «10000000146»", "10000000146", "TCKN 10000000147"},
	"il_id":            {"תעודת זהות «123456782»", "teudat zehut: «12345678-2»", `{"il_id":"«123456782»"}`, "123456782", "teudat zehut 123456783"},
}

// TestOptions chooses types and regions.
func TestOptions(t *testing.T) {
	const text = "a@b.com 4111111111111111 020 7946 0018 202-555-0143"
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "[email a@b.com credit_card 4111111111111111 phone 020 7946 0018 phone 202-555-0143]"},
		{Options{Types: []string{"email"}}, "[email a@b.com]"},
		{Options{Types: []string{"credit_card", "iban"}}, "[credit_card 4111111111111111]"},
		{Options{Types: []string{"phone"}, Regions: []string{"gb"}}, "[phone 020 7946 0018]"},
		{Options{Types: []string{"phone"}, Regions: []string{}}, "[]"},
	} {
		if got := fmt.Sprint(all(t, detector(t, c.o), text)); got != c.want {
			t.Errorf("%v: %s, want %s", c.o, got, c.want)
		}
	}
	for _, o := range []Options{{Types: []string{"name"}}, {Regions: []string{"XX"}}, {Regions: []string{"001"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%v is accepted", o)
		}
	}
}

// TestTime withholds nothing: it says that it did not look at everything.
func TestTime(t *testing.T) {
	d := detector(t, Options{})
	for _, unit := range []string{"a@b.com ", "12 "} {
		if _, err := d.Append(nil, []byte(strings.Repeat(unit, 1<<16)), time.Now()); !errors.Is(err, ErrTime) {
			t.Errorf("%q: %v", unit, err)
		}
	}
}

// TestClean allocates nothing.
func TestClean(t *testing.T) {
	d := detector(t, Options{})
	text := []byte(strings.Repeat(prose, 100) + dense(100))
	until := time.Now().Add(time.Hour)
	if n := testing.AllocsPerRun(10, func() {
		if finds, err := d.Append(nil, text, until); len(finds) > 0 || err != nil {
			t.Fatal(finds, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
