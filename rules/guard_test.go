package rules_test

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// orderFree lists the functions that may read a map in no order, and why.
func orderFree() map[string]string {
	return map[string]string{}
}

// Code that decides or records outcomes never ranges over a map, since Go visits
// keys in a different order on every run. What maps.Keys, Values and All give goes
// straight into a function that sorts it.
func TestNoMapRange(t *testing.T) {
	lookup := exportData(t)
	for _, dir := range []string{".", "hour", "rulefile", "scenario", "../settle", "../settle/evidence", "../settle/ledger", "../settle/verify"} {
		fset := token.NewFileSet()
		files := parseDir(t, fset, dir)
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
		conf := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
		pkg, err := conf.Check(dir, fset, files, info)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && orderFree()[pkg.Name()+"."+fn.Name.Name] != "" {
					continue
				}
				for _, pos := range mapRanges(decl, info) {
					t.Errorf("%v: visits a map in no order", fset.Position(pos))
				}
			}
		}
	}
}

// The guard sees what it is there to see.
func TestNoMapRangeFindsThem(t *testing.T) {
	const source = `package p
import ("maps"; "slices")
type names map[string]int
func bad1(m names) { for range m {} }
func bad2(m map[string]int) { for range maps.Keys(m) {} }
func bad3(m map[string]int) []string { return slices.Collect(maps.Keys(m)) }
func good(m map[string]int) { for range slices.Sorted(maps.Keys(m)) {}; delete(m, "") }
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", exportData(t))}
	if _, err := conf.Check("p", fset, []*ast.File{f}, info); err != nil {
		t.Fatal(err)
	}
	var lines []int
	for _, pos := range mapRanges(f, info) {
		lines = append(lines, fset.Position(pos).Line)
	}
	if len(lines) != 3 || lines[0] != 4 || lines[1] != 5 || lines[2] != 6 {
		t.Errorf("found lines %v, want 4, 5 and 6", lines)
	}
}

// mapRanges returns where the node visits a map in no order.
func mapRanges(node ast.Node, info *types.Info) []token.Pos {
	var found []token.Pos
	sorted := map[ast.Expr]bool{} // arguments of a function that sorts
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.RangeStmt:
			if _, isMap := info.TypeOf(n.X).Underlying().(*types.Map); isMap {
				found = append(found, n.Pos())
			}
		case *ast.CallExpr:
			switch callee := called(n, info); {
			case strings.HasPrefix(callee, "slices.Sorted"):
				sorted[n.Args[0]] = true
			case callee == "maps.Keys" || callee == "maps.Values" || callee == "maps.All":
				if !sorted[n] {
					found = append(found, n.Pos())
				}
			}
		}
		return true
	})
	return found
}

// called returns the function of another package that is called, as "maps.Keys".
func called(call *ast.CallExpr, info *types.Info) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	fn, ok := info.Uses[selector.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil {
		return ""
	}
	return fn.Pkg().Path() + "." + fn.Name()
}

func parseDir(t *testing.T, fset *token.FileSet, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// exportData returns what the compiler knows of each package that rules and settle
// import; reading it is a hundred times faster than checking their sources.
func exportData(t *testing.T) importer.Lookup {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".", "../settle").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	files := map[string]string{}
	for line := range bytes.Lines(out) {
		path, file, _ := strings.Cut(strings.TrimSpace(string(line)), "\t")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}
