package config

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// writing are the rights with which the content of a file, or who may change
// it, can be changed.
const writing = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.DELETE |
	windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL

// Types of access control entries, of which windows names only the first
// (winnt.h).
const (
	deniedACE          = 1
	allowedCallbackACE = 9
	deniedCallbackACE  = 10
)

// trustedInstaller owns what belongs to Windows.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

// checkFile refuses an open file that somebody other than the user, the system
// and the administrators owns or can write.
func checkFile(f *os.File) error {
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("reading who can write %s: %w", f.Name(), err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("finding the current user: %w", err)
	}
	trusted := func(sid *windows.SID) bool {
		return sid.Equals(user.User.Sid) || sid.IsWellKnown(windows.WinLocalSystemSid) ||
			sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) || sid.String() == trustedInstaller
	}

	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("finding the owner of %s: %w", f.Name(), err)
	}
	if !trusted(owner) {
		return fmt.Errorf("%s belongs to another user: %w; copy it", f.Name(), ErrUnsafe)
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil { // no list means no restriction
		return fmt.Errorf("%s is writable by everybody: %w; restrict it in its security properties", f.Name(), ErrUnsafe)
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return fmt.Errorf("reading who can write %s: %w", f.Name(), err)
		}
		switch ace.Header.AceType {
		case deniedACE, deniedCallbackACE:
			continue
		case windows.ACCESS_ALLOWED_ACE_TYPE, allowedCallbackACE:
		default:
			return fmt.Errorf("%s has an access rule of an unknown kind (%d): %w; restrict it in its security properties", f.Name(), ace.Header.AceType, ErrUnsafe)
		}
		if ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || ace.Mask&writing == 0 {
			continue
		}
		sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart))
		// Rights of the owner, who was checked above.
		if trusted(sid) || sid.IsWellKnown(windows.WinCreatorOwnerRightsSid) {
			continue
		}
		name := sid.String()
		if account, domain, _, err := sid.LookupAccount(""); err == nil {
			name = domain + `\` + account
		}
		return fmt.Errorf("%s is writable by %s: %w; run `icacls %q /inheritance:r /grant:r %%USERNAME%%:F`", f.Name(), name, ErrUnsafe, f.Name())
	}
	return nil
}

// checkFolder has nothing to add: the rights to replace a file in a folder of
// Windows are in the file's own list, as DELETE.
func checkFolder(string) error { return nil }
