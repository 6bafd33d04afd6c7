package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// inputs lists the files of an import: the paths in their order, the files of a
// folder by base name, then path. bytes is their size as they lie on disk.
func inputs(ctx context.Context, paths []string) (list []input, bytes int64, err error) {
	if len(paths) == 0 {
		return nil, 0, &InputError{Path: "(no path)", Err: errors.New("nothing to import was named")}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, 0, &InputError{Path: path, Err: reason(err)}
		}
		switch {
		case info.Mode().IsRegular():
			list = append(list, input{path: path})
			bytes += info.Size()
		case info.IsDir():
			found, size, err := inFolder(ctx, path)
			if err != nil {
				return nil, 0, err
			}
			list = append(list, found...)
			bytes += size
		default:
			return nil, 0, &InputError{Path: path, Err: errors.New("it is neither a file nor a folder")}
		}
		if len(list) > MaxInputFiles {
			return nil, 0, &InputError{Path: path, Err: fmt.Errorf("there are more than %d files", MaxInputFiles)}
		}
	}
	return list, bytes, nil
}

// inFolder lists the regular files below a folder. Links within it are not
// followed: they may lead in a circle.
func inFolder(ctx context.Context, root string) (list []input, bytes int64, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return &InputError{Path: path, Err: reason(err)}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		if len(list) >= MaxInputFiles {
			return &InputError{Path: root, Err: fmt.Errorf("it holds more than %d files", MaxInputFiles)}
		}
		info, err := e.Info()
		if err != nil {
			return &InputError{Path: path, Err: reason(err)}
		}
		list = append(list, input{path: path, found: true})
		bytes += info.Size()
		return nil
	})
	slices.SortFunc(list, func(a, b input) int {
		return cmp.Or(cmp.Compare(filepath.Base(a.path), filepath.Base(b.path)), cmp.Compare(a.path, b.path))
	})
	return list, bytes, err
}
