package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// partial is the pattern of the names under which a file is written before it is whole.
func partial(path string) string { return path + ".partial-*" }

// writeWhole puts a new file at path, or none: fill writes it beside path, it is synced, ready may look at it, and only then
// it takes its name; with force in place of what has it, else only if nothing has. Several may write to one path at once, in
// this process or others: each has a partial file of its own. A kill at any instant leaves the old file or the new one, and
// perhaps a partial one, which nothing reads or removes. Where path is a link, it stays one, and all of this happens to the file it leads to.
func writeWhole(path string, force bool, fill func(f *os.File) error, ready func(partial string) error) (err error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		path = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), partial(filepath.Base(path)))
	if err != nil {
		return orMakeFolder(err)
	}
	temp := f.Name()
	defer func() {
		if gone := os.Remove(temp); !errors.Is(gone, fs.ErrNotExist) { // renamed, if all went well
			err = errors.Join(err, gone)
		}
	}()
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := ready(temp); err != nil {
		return err
	}
	if err := giveName(temp, path, force); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// giveName makes path a name of the file temp. Without force it refuses if path is there, however late it came.
func giveName(temp, path string, force bool) error {
	if !force {
		if os.Link(temp, path) == nil { // where a rename would replace
			return nil
		}
		// It is there, or this file system has no links (FAT): then a look right before the rename must do.
		if err := mustBeNew(path, false, "another made it meanwhile, and it was left alone"); err != nil {
			return err
		}
	}
	return os.Rename(temp, path)
}

// orMakeFolder says what to do where a new file could not be made for want of its folder.
func orMakeFolder(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: make the folder, or name another", err)
	}
	return err
}

// syncFolder makes renames in a folder durable. Windows has no such call.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mustBeNew refuses a file that exists, and names the flag that would overwrite it. With force it refuses what is no file, nor a link to one: a
// device, a pipe, a folder is not what anybody means to lose.
func mustBeNew(path string, force bool, hint string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !force:
		return fmt.Errorf("%s exists: %s", path, hint)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s exists and is no file: name another", path)
	}
	return err
}
