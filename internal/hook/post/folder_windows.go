package post

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// maxPath is the length of the longest path of a socket, without the zero byte (UNIX_PATH_MAX
// in afunix.h is 108).
const maxPath = 107

func shortDir() string { return os.TempDir() }

// makePrivate makes a folder that only the user can open, or checks that it is one. The
// system and the administrators can open everything.
func makePrivate(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", folder)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("finding the current user: %w", err)
	}
	sid := user.User.Sid
	if checkOwnerOnly(folder, sid) == nil {
		return nil
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;" + sid.String() + ")(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
	if err != nil {
		return fmt.Errorf("restricting who can open %s: %w", folder, err)
	}
	dacl, _, err := sd.DACL()
	if err == nil {
		err = windows.SetNamedSecurityInfo(folder, windows.SE_FILE_OBJECT,
			windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
	}
	if err != nil {
		return fmt.Errorf("restricting who can open %s: %w", folder, err)
	}
	return checkOwnerOnly(folder, sid)
}

// checkOwnerOnly reports what of a file or folder lets others in than the user, the system
// and the administrators.
func checkOwnerOnly(path string, user *windows.SID) error {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("reading who can open %s: %w", path, err)
	}
	trusted := func(sid *windows.SID) bool {
		return sid.Equals(user) || sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid)
	}
	owner, _, err := sd.Owner()
	if err != nil || !trusted(owner) {
		return fmt.Errorf("%s belongs to another user", path)
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil { // no list means no restriction
		return fmt.Errorf("everybody can open %s", path)
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return fmt.Errorf("reading who can open %s: %w", path, err)
		}
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE || !trusted((*windows.SID)(unsafe.Pointer(&ace.SidStart))) {
			return fmt.Errorf("others can open %s", path)
		}
	}
	return nil
}

// openPrivate opens a file that only the user can have written.
func openPrivate(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("finding the current user: %w", err)
	}
	if err := checkOwnerOnly(path, user.User.Sid); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Refused reports whether nobody listens at a socket.
func Refused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
