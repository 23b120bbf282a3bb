// Package pii finds personal data in text: addresses, numbers and ids that
// have a form of their own and, where their issuer gave them one, a checksum.
//
//	d, err := pii.New(pii.Options{})
//	finds, err := d.Append(nil, text, time.Now().Add(time.Second))
//
// The text is decoded text or a whole JSON document. Types lists what is found.
//
// # What is a find
//
// A number with a form or a checksum that fewer than about one in a thousand
// numbers of its shape have, is a find wherever it stands by itself: an IBAN,
// 123.456.789-09 with the digits of a CPF. One that more numbers have (nine
// digits with a Luhn digit) is a find where a word near it says so, in English
// or in a language of the country: up to 56 bytes before it on its line, or on
// the line above if it begins one. The name of a JSON member speaks for its
// value alone. Payment cards are the exception: see card.
//
// Nothing is found inside words, UUIDs, hex and base64, dates and times,
// decimal numbers, or longer numbers. Digits may be full-width, Arabic,
// Persian, Devanagari or mathematical; groups may be separated by spaces of any width,
// dashes, dots and slashes where people write them so; characters of no width
// inside a number or an e-mail address are passed over.
//
// # What is not found
//
// Names of people, postal addresses, postcodes, dates of birth, driving
// licences, passports: no form tells them from other text, and at the time of
// writing there is no library in Go alone that finds names and is kept up
// (prose is archived; the others call C or download models).
// E-mail addresses written in words ("jane at example dot com") and those with
// a quoted local part; user@10.0.0.1, which is a login. Numbers in words, and numbers
// but IBANs split over lines. An address
// at example.com and the like that the text itself calls an example.
//
// A bare card number or id whose name ends with "id", "timestamp" or another
// word for what is no person's is not found, unless the name speaks of cards
// too: in data most such numbers are ids that pass a checksum by chance.
package pii

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Find is personal data at text[Start:End].
type Find struct {
	Start, End int
	Type       string // one of Types
}

// Options say what to look for.
type Options struct {
	// Types are the types to find; all if there are none.
	Types []string
	// Regions are the countries (ISO 3166-1, two letters) whose telephone
	// numbers are found when they are written as inside the country, in groups
	// and with no word near that speaks of telephones. DefaultRegions if nil,
	// none if empty. Other numbers do not depend on it.
	Regions []string
}

// DefaultRegions are those of the countries whose ids are found, as far as
// their numbers written inside the country can be told from other numbers:
// North America's, China's, Brazil's and Russia's by their groups, the others by
// the 0 before the area code.
var DefaultRegions = []string{"US", "GB", "DE", "FR", "NL", "BE", "CH", "AT", "SE", "FI", "TR", "IL", "ZA", "AU", "NZ", "IN", "JP", "KR", "CN", "BR", "AR", "RU"}

// ErrTime means that the time was over before the whole text was looked at.
var ErrTime = errors.New("looking for personal data took longer than allowed")

// Detector finds personal data. It may be used by several goroutines.
type Detector struct {
	types   uint64 // bit k for kind k
	regions []region
}

// New returns a detector. It errors for a type or region that does not exist.
func New(o Options) (*Detector, error) {
	d := &Detector{}
	for _, name := range o.Types {
		k := slices.IndexFunc(kinds[:], func(t Type) bool { return t.Name == name })
		if k < 0 {
			return nil, fmt.Errorf("there is no type %q of personal data; the types are %s", name, names())
		}
		d.types |= 1 << k
	}
	if len(o.Types) == 0 {
		d.types = 1<<len(kinds) - 1
	}
	regions := o.Regions
	if regions == nil {
		regions = DefaultRegions
	}
	for _, code := range regions {
		r, ok := plans().regions[strings.ToUpper(code)]
		if !ok {
			return nil, fmt.Errorf("there is no region %q with telephone numbers; write the two letters of ISO 3166-1, such as US", code)
		}
		if !slices.Contains(d.regions, r) {
			d.regions = append(d.regions, r)
		}
	}
	return d, nil
}

// Append appends what it finds in the text, ascending by Start. It returns
// ErrTime, and what it found so far, once until has passed.
func (d *Detector) Append(finds []Find, text []byte, until time.Time) ([]Find, error) {
	s := scanners.Get().(*scanner)
	s.d, s.text, s.finds, s.glued = d, text, finds, -1
	defer func() {
		s.d, s.text, s.finds = nil, nil, nil
		scanners.Put(s)
	}()
	var err error
	if d.types>>email&1 != 0 {
		err = s.emails(until)
	}
	emails := len(s.finds)
	if err == nil && d.types&^bit64(email) != 0 {
		err = s.numbers(until)
	}
	s.merge(len(finds), emails)
	return s.finds, err
}

// merge sorts the finds from first on by where they begin: addresses up to middle, and numbers.
// Either are in order, but for a number that begins before the digit that it was found by.
func (s *scanner) merge(first, middle int) {
	for i := middle + 1; i < len(s.finds); i++ {
		for k := i; k > middle && s.finds[k].Start < s.finds[k-1].Start; k-- {
			s.finds[k], s.finds[k-1] = s.finds[k-1], s.finds[k]
		}
	}
	if first == middle || middle == len(s.finds) || s.finds[middle-1].Start <= s.finds[middle].Start {
		return
	}
	s.emailFinds = append(s.emailFinds[:0], s.finds[first:middle]...)
	emails, numbers := s.emailFinds, s.finds[middle:]
	for i := first; len(emails) > 0; i++ {
		if len(numbers) > 0 && numbers[0].Start < emails[0].Start {
			s.finds[i], numbers = numbers[0], numbers[1:]
		} else {
			s.finds[i], emails = emails[0], emails[1:]
		}
	}
}

// scanners keeps what a look needs, so that it allocates nothing.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

func bit64(k kind) uint64 { return 1 << k }

// Type is a type of personal data.
type Type struct {
	Name        string
	Description string // one line
}

// Types lists the types, ordered by how common they are and by country.
func Types() []Type { return slices.Clone(kinds[:]) }

func names() string {
	var b []string
	for _, t := range kinds {
		b = append(b, t.Name)
	}
	return strings.Join(b, ", ")
}

// kind is the index of a type in kinds.
type kind uint8

const (
	email kind = iota
	phone
	creditCard
	iban
	ip
	ssn
	ukNINO
	ukNHS
	caSIN
	deTaxID
	frNIR
	esDNI
	esNIE
	itFiscalCode
	nlBSN
	beNRN
	chAHV
	plPESEL
	ptNIF
	sePersonnummer
	noFodselsnummer
	dkCPR
	fiHETU
	brCPF
	brCNPJ
	mxCURP
	arCUIT
	clRUT
	inAadhaar
	inPAN
	cnResidentID
	jpMyNumber
	krRRN
	auTFN
	auMedicare
	sgNRIC
	zaID
	trTCKN
	ilID
	kindCount
)

var kinds = [kindCount]Type{
	email:           {"email", "e-mail address (RFC 5321, RFC 6531)"},
	phone:           {"phone", "telephone number, by the number plans of all countries"},
	creditCard:      {"credit_card", "payment card number: issuer, length, Luhn digit"},
	iban:            {"iban", "international bank account number (ISO 13616)"},
	ip:              {"ip", "IPv4 or IPv6 address, but not loopback, unspecified, multicast"},
	ssn:             {"ssn", "United States: social security number"},
	ukNINO:          {"uk_nino", "United Kingdom: National Insurance number"},
	ukNHS:           {"uk_nhs", "United Kingdom: NHS number"},
	caSIN:           {"ca_sin", "Canada: social insurance number"},
	deTaxID:         {"de_tax_id", "Germany: Steuer-Identifikationsnummer"},
	frNIR:           {"fr_nir", "France: numéro de sécurité sociale"},
	esDNI:           {"es_dni", "Spain: DNI (NIF of citizens)"},
	esNIE:           {"es_nie", "Spain: NIE of foreigners"},
	itFiscalCode:    {"it_fiscal_code", "Italy: codice fiscale"},
	nlBSN:           {"nl_bsn", "Netherlands: burgerservicenummer"},
	beNRN:           {"be_nrn", "Belgium: national register number"},
	chAHV:           {"ch_ahv", "Switzerland: AHV number"},
	plPESEL:         {"pl_pesel", "Poland: PESEL"},
	ptNIF:           {"pt_nif", "Portugal: número de identificação fiscal"},
	sePersonnummer:  {"se_personnummer", "Sweden: personnummer, samordningsnummer"},
	noFodselsnummer: {"no_fodselsnummer", "Norway: fødselsnummer, D-nummer"},
	dkCPR:           {"dk_cpr", "Denmark: CPR number"},
	fiHETU:          {"fi_hetu", "Finland: henkilötunnus"},
	brCPF:           {"br_cpf", "Brazil: CPF of persons"},
	brCNPJ:          {"br_cnpj", "Brazil: CNPJ of firms"},
	mxCURP:          {"mx_curp", "Mexico: CURP"},
	arCUIT:          {"ar_cuit", "Argentina: CUIT, CUIL"},
	clRUT:           {"cl_rut", "Chile: RUT"},
	inAadhaar:       {"in_aadhaar", "India: Aadhaar number"},
	inPAN:           {"in_pan", "India: permanent account number"},
	cnResidentID:    {"cn_resident_id", "China: resident identity number"},
	jpMyNumber:      {"jp_my_number", "Japan: individual number"},
	krRRN:           {"kr_rrn", "South Korea: resident registration number"},
	auTFN:           {"au_tfn", "Australia: tax file number"},
	auMedicare:      {"au_medicare", "Australia: Medicare card number"},
	sgNRIC:          {"sg_nric", "Singapore: NRIC, FIN"},
	zaID:            {"za_id", "South Africa: identity number"},
	trTCKN:          {"tr_tckn", "Turkey: T.C. kimlik numarası"},
	ilID:            {"il_id", "Israel: identity number"},
}
