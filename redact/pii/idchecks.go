package pii

// ssnCheck knows the numbers that are never issued (SSA, POMS RM 10201.035)
// and the one printed in advertisements. Since 2011 areas say nothing else.
func ssnCheck(d []byte) bool {
	area := number(d[:3])
	return area != 0 && area != 666 && area < 900 && two(d, 3) != 0 && number(d[5:]) != 0 && !same(d) && string(d) != "123456789"
}

// sinCheck is Luhn's; 0 and 8 are not issued (Employment and Social Development Canada).
func sinCheck(d []byte) bool { return d[0] != '0' && d[0] != '8' && luhn(d) }

// nhsCheck is modulus 11 (NHS Data Dictionary, NHS NUMBER).
func nhsCheck(d []byte) bool {
	c := 11 - weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return !same(d) && c != 10 && c%11 == digit(d, 9)
}

// bsnCheck is the "elfproef" of the Netherlands.
func bsnCheck(d []byte) bool { return !same(d) && weighted(d, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0 }

// nifCheck is modulus 11; persons' begin with 1, 2, 3 or 45 (Autoridade Tributária).
func nifCheck(d []byte) bool {
	if d[0] > '3' && (d[0] != '4' || d[1] != '5') || d[0] == '0' {
		return false
	}
	c := 11 - weighted(d, 9, 8, 7, 6, 5, 4, 3, 2)%11
	if c >= 10 {
		c = 0
	}
	return c == digit(d, 8) && !same(d)
}

// tfnCheck is modulus 11 (Australian Taxation Office), of 8 or 9 digits.
func tfnCheck(d []byte) bool {
	if same(d) {
		return false
	}
	if len(d) == 8 {
		return weighted(d, 10, 7, 8, 4, 6, 3, 5, 1)%11 == 0
	}
	return weighted(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0
}

// medicareCheck is modulus 10 (Services Australia): eight digits, the check
// digit, the issue number, and the number on the card if there is an eleventh.
func medicareCheck(d []byte) bool {
	return d[0] >= '2' && d[0] <= '6' && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9)%10 == digit(d, 8) && d[9] != '0'
}

// rutCheck is modulus 11 with K for 10 (Registro Civil).
func rutCheck(d []byte) bool {
	sum, w := 0, 2
	n := len(d) - 1
	for i := n - 1; i >= 0; i-- {
		sum += w * digit(d, i)
		if w++; w > 7 {
			w = 2
		}
	}
	c := "0K987654321"[sum%11]
	return c == d[n] && !same(d[:n])
}

// personnummerCheck is of ten digits: a date, to whose day 60 is added for a
// samordningsnummer, and Luhn's digit (Skatteverket, SKV 704).
func personnummerCheck(d []byte) bool {
	day := two(d, 4)
	if day > 60 {
		day -= 60
	}
	return monthDay(two(d, 2), day) && luhn(d)
}

// cprCheck wants a date; the checksum is no more since 2007 (CPR-kontoret).
func cprCheck(d []byte) bool { return monthDay(two(d, 2), two(d, 0)) }

// fodselsnummerCheck is of two digits modulus 11, and a date, to whose day 40
// is added for a D-nummer, and 40 or 80 to the month for synthetic ones
// (Skatteetaten).
func fodselsnummerCheck(d []byte) bool {
	day, month := two(d, 0), two(d, 2)
	if day > 40 {
		day -= 40
	}
	if month > 40 {
		month = (month - 40) % 40
	}
	return monthDay(month, day) && weighted(d, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1)%11 == 0 && weighted(d, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)%11 == 0
}

// cpfCheck is of two digits modulus 11 (Receita Federal).
func cpfCheck(d []byte) bool {
	c := func(sum int) int { return 10 * sum % 11 % 10 }
	return !same(d) && c(weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(d, 9) && c(weighted(d, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(d, 10)
}

// cnpjCheck is of two digits modulus 11 (Receita Federal).
func cnpjCheck(d []byte) bool {
	c := func(sum int) int { return 10 * sum % 11 % 10 }
	return !same(d) && c(weighted(d, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(d, 12) &&
		c(weighted(d, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(d, 13)
}

// cuitCheck is modulus 11 after one of the prefixes in use (AFIP).
func cuitCheck(d []byte) bool {
	switch two(d, 0) {
	case 20, 23, 24, 25, 26, 27, 30, 33, 34:
	default:
		return false
	}
	return (11-weighted(d, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11)%11 == digit(d, 10)
}

// nrnCheck is 97 minus the remainder, with 2 before the number for people born
// from 2000 on (Rijksregister); 20 or 40 is added to the month of a bis number.
func nrnCheck(d []byte) bool {
	month, day := two(d, 2), two(d, 4)
	if month > 40 {
		month -= 40
	} else if month > 20 {
		month -= 20
	}
	if !monthDay(month, day) && (month != 0 || day > 31) {
		return false
	}
	n, c := number(d[:9]), two(d, 9)
	return c == 97-n%97 || c == 97-(2e9+n)%97
}

// taxIDCheck is ISO 7064 MOD 11,10; of the first ten digits exactly one comes
// twice or three times (Bundeszentralamt für Steuern).
func taxIDCheck(d []byte) bool {
	var count [10]int
	for i := range 10 {
		count[digit(d, i)]++
	}
	repeated := 0
	for _, n := range count {
		if n > 3 {
			return false
		}
		if n > 1 {
			repeated++
		}
	}
	return d[0] != '0' && repeated == 1 && iso7064(d)
}

// peselCheck is modulus 10 after a date, whose month says the century.
func peselCheck(d []byte) bool {
	return monthDay(two(d, 2)%20, two(d, 4)) && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)%10 == 0
}

// tcknCheck is of two digits (Nüfus ve Vatandaşlık İşleri).
func tcknCheck(d []byte) bool {
	odd := weighted(d, 1, 0, 1, 0, 1, 0, 1, 0, 1)
	even := weighted(d, 0, 1, 0, 1, 0, 1, 0, 1)
	return d[0] != '0' && ((7*odd-even)%10+10)%10 == digit(d, 9) && (odd+even+digit(d, 9))%10 == digit(d, 10)
}

// aadhaarCheck is Verhoeff's; 0 and 1 do not begin a number (UIDAI).
func aadhaarCheck(d []byte) bool { return d[0] >= '2' && verhoeff(d) && !same(d) }

// myNumberCheck is modulus 11 (ordinance 85 of 2014 of the Ministry of Internal Affairs).
func myNumberCheck(d []byte) bool {
	r := weighted(d, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11
	c := 0
	if r > 1 {
		c = 11 - r
	}
	return c == digit(d, 11) && !same(d)
}

// ahvCheck is that of EAN-13 after 756, the code of Switzerland (Zentrale Ausgleichsstelle).
func ahvCheck(d []byte) bool {
	return number(d[:3]) == 756 && weighted(d, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1)%10 == 0
}

// rrnCheck is modulus 11 after a date. Numbers given since October 2020 have
// random digits instead: they are not found.
func rrnCheck(d []byte) bool {
	return monthDay(two(d, 2), two(d, 4)) && (11-weighted(d, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10 == digit(d, 12)
}

// zaCheck is Luhn's after a date, four digits and 0 for citizens, 1 or 2 for
// others (Department of Home Affairs).
func zaCheck(d []byte) bool { return monthDay(two(d, 2), two(d, 4)) && d[10] <= '2' && luhn(d) }

// nirCheck is 97 minus the remainder (INSEE). Numbers of people born in Corsica
// since 1976, which have a letter (2A, 2B), are not found.
func nirCheck(d []byte) bool {
	month := two(d, 3)
	known := month >= 1 && month <= 12 || month >= 20 && month <= 42 || month >= 50
	return (d[0] >= '1' && d[0] <= '4' || d[0] == '7' || d[0] == '8') && known && number(d[5:7]) > 0 && 97-number(d[:13])%97 == two(d, 13)
}

// residentCheck is ISO 7064 MOD 11-2 after a province and a date (GB 11643-1999).
func residentCheck(d []byte) bool {
	if p := two(d, 0); p < 11 || p > 82 || d[6] != '1' && d[6] != '2' || two(d, 6) < 18 || two(d, 6) > 20 || !monthDay(two(d, 10), two(d, 12)) {
		return false
	}
	sum := weighted(d, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
	return "10X98765432"[sum%11] == d[17]
}

// dniLetter is the check letter of Spain's numbers (Ministerio del Interior).
func dniLetter(n int) byte { return "TRWAGMYFPDXBNJZSQVHLCKE"[n%23] }
