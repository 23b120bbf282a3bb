package pii

// vocabulary is the words near a number that say what it is, in English and in
// the languages of the country. Where anywhere is set they are looked for
// anywhere, as their script has no spaces between words or glues words
// together.
var vocabulary = []struct {
	is       words
	words    string
	anywhere bool
}{
	{is: bit(phone), words: "phone, phones, phonenumber, phoneno, telephone, tel, telno, telnr, mobile, mobilenumber, mobileno, mobilephone, cell, " +
		"cellphone, cellular, landline, fax, telefax, faxnumber, sms, whatsapp, msisdn, handy, handynummer, rufnummer, telefon, telefonnummer, " +
		"festnetz, telefono, teléfono, movil, móvil, celular, téléphone, portable, tél, telefone, telemóvel, cellulare, telefoon, " +
		"telefoonnummer, mobiel, mobil, mobilnummer, mobiltelefon, puhelin, puhelinnumero, tlf, tlfn, gsm, telefonu, komórka, numer telefonu, cep, facetime"},
	{is: bit(phone), words: "电话, 電話, 手机, 手機, 携帯, 携帯電話, 전화, 휴대폰, 핸드폰, телефон, Телефон, тел., Тел., моб., Моб., טלפון, נייד, هاتف, جوال, फोन, फ़ोन, मोबाइल", anywhere: true},
	{is: weakPhone | labelPhone, words: "contact, desk, office, home, work, hotline, helpline, helpdesk, voicemail, pager, switchboard, direct"},
	{is: weakPhone, words: "call, calls, called, calling, dial, dialed, dialled, contacts, text, texted, message, messages, answering, " +
		"registered, reach, ring, extension, anrufen, anruf, " +
		"llamar, llama, appeler, appelez, appel, chiamare, chiama, ligar, bellen, ringa, signal, telegram, viber"},
	{is: bit(creditCard), words: "card, cards, cardnumber, cardno, cc, ccnum, ccn, ccnumber, creditcard, creditcardnumber, credit, debit, debitcard, " +
		"visa, mastercard, amex, american express, maestro, diners, discover, jcb, charge, pay with, paid with, payment method, unionpay, rupay, pan, carte, cb, carte bancaire, " +
		"karte, kreditkarte, kreditkartennummer, kartennummer, tarjeta, cartão, cartao, carta, carta di credito, kort, kortnummer, kreditkort, " +
		"kaart, creditcardnummer, kartı, kart, karta, karty, luottokortti, cvv, cvc"},
	{is: bit(creditCard), words: "信用卡, 银行卡, 銀行卡, カード, 카드, карт, כרטיס אשראי, بطاقة, कार्ड", anywhere: true},
	{is: bit(iban), words: "iban, ibans, bank account, bankverbindung, konto, kontonummer, compte bancaire, cuenta, conto, rekening, rekeningnummer, bic, swift"},
	{is: bit(ssn), words: "ssn, ssns, socialsecurity, socialsecuritynumber, social security, soc sec, ss number, itin, taxpayer identification, taxpayer id"},
	{is: bit(ukNHS), words: "nhs, nhsnumber, health service, chi number"},
	{is: bit(ukNINO), words: "nino, ni number, ni no, national insurance, nationalinsurancenumber"},
	{is: bit(caSIN), words: "sin, sins, social insurance, nas, assurance sociale"},
	{is: bit(deTaxID), words: "steuer, steuerid, steueridentifikationsnummer, steuernummer, identifikationsnummer, idnr, tin, tax id, tax number, steuerliche"},
	{is: bit(frNIR), words: "nir, sécurité sociale, securite sociale, insee, carte vitale, sécu, secu, social security"},
	{is: bit(esDNI) | bit(esNIE), words: "dni, nif, nie, documento nacional, identidad, número de identidad, extranjero"},
	{is: bit(itFiscalCode), words: "codice fiscale, codicefiscale, fiscale, fiscal code, cf, tax code"},
	{is: bit(nlBSN), words: "bsn, burgerservicenummer, burger service, sofi, sofinummer, citizen service"},
	{is: bit(beNRN), words: "rijksregisternummer, rijksregister, registre national, numéro national, insz, niss, national register, national number"},
	{is: bit(chAHV), words: "ahv, avs, ahvnummer, sozialversicherungsnummer, ahvn"},
	{is: bit(plPESEL), words: "pesel"},
	{is: bit(ptNIF), words: "nif, contribuinte, número fiscal, numero fiscal, identificação fiscal, tax number"},
	{is: bit(sePersonnummer), words: "personnummer, personnr, pnr, samordningsnummer, personal identity, personal number"},
	{is: bit(noFodselsnummer), words: "fødselsnummer, fodselsnummer, fnr, personnummer, national identity, birth number"},
	{is: bit(dkCPR), words: "cpr, cprnr, cprnummer, personnummer, civil registration"},
	{is: bit(fiHETU), words: "hetu, henkilötunnus, henkilotunnus, personbeteckning"},
	{is: bit(brCPF), words: "cpf, cadastro de pessoas"},
	{is: bit(brCNPJ), words: "cnpj"},
	{is: bit(mxCURP), words: "curp, clave única"},
	{is: bit(arCUIT), words: "cuit, cuil, cdi"},
	{is: bit(clRUT), words: "rut, run, rol único, rol unico, cédula, cedula"},
	{is: bit(inAadhaar), words: "aadhaar, aadhar, adhaar, adhar, uidai, aadhaarnumber, uid"},
	{is: bit(inAadhaar), words: "आधार", anywhere: true},
	{is: bit(inPAN), words: "pan, permanent account, pannumber, income tax"},
	{is: bit(cnResidentID), words: "resident identity, resident id, id card, identity card, shenfenzheng"},
	{is: bit(cnResidentID), words: "身份证, 身份證, 公民身份", anywhere: true},
	{is: bit(jpMyNumber), words: "my number, mynumber, individual number, kojin bango"},
	{is: bit(jpMyNumber), words: "マイナンバー, 個人番号", anywhere: true},
	{is: bit(krRRN), words: "rrn, resident registration, jumin, resident number"},
	{is: bit(krRRN), words: "주민등록, 주민번호", anywhere: true},
	{is: bit(auTFN), words: "tfn, tax file, taxfilenumber"},
	{is: bit(auMedicare), words: "medicare, medicarenumber, medicare card"},
	{is: bit(sgNRIC), words: "nric, fin, uin"},
	{is: bit(trTCKN), words: "tckn, tc kimlik, kimlik, tc no, tckimlik, turkish id, turkish identity, nüfus"},
	{is: bit(ilID), words: "il id, teudat zehut, teudat, zehut, israeli id, israel id"},
	{is: bit(ilID), words: "תעודת זהות, מספר זהות, ת.ז, ת״ז", anywhere: true},
	{is: bit(zaID) | bit(ilID) | bit(trTCKN) | bit(plPESEL) | bit(beNRN) | bit(cnResidentID) | bit(noFodselsnummer) | bit(sePersonnummer) |
		bit(dkCPR) | bit(krRRN) | bit(ptNIF) | bit(deTaxID),
		words: "national id, nationalid, national identification, identity number, identification number, id number, idnumber, personal id"},
	{is: bit(zaID), words: "za id, rsa id, sa id, south african, south africa, said, identiteitsnommer"},
	{is: dialWord, words: "call, text, dial, ring, contact"},
	{is: exampleWord, words: "example, examples, e g, eg, such as, for instance, placeholder"},
	{is: reachedAt, words: "at, on, to, via, registered"},
	{is: notPersonal, words: "id, ids, uid, guid, uuid, time, timestamp, timestamps, ts, epoch, hash, sha, checksum, digest, offset, size, bytes, length, " +
		"count, total, cursor, snowflake, seq, sequence, ns, us, ms, millis, micros, nanos, date, created at, updated at, modified at, deleted at, expires at, " +
		"started at, ended at, sent at, received at, posted at, issued at, created, updated, modified, expires, " +
		"version, revision, sku, isbn, ean, upc, gtin, barcode, pid, port, amount, balance, price, score, nonce, order, invoice, tracking, serial, " +
		"commit, build, ticket, line, row, page, width, height, gas, wei, block, crc, key, etag, duration, elapsed, latency"},
	{is: versionWord, words: "version, versions, ver, v, build, release, firmware, rev, revision, upgrade, downgrade, sdk, semver, chrome, driver"},
}
