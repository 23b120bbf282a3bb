package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkFile refuses what is not a file. Who may write it is said by the
// permissions that it inherits from the user's folders.
func checkFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return nil
}

func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return nil
}
