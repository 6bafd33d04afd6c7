package main

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"syscall"
	"time"
)

// compared is what two ways of doing the same took, each in the turn in the middle.
type compared struct {
	ours, floor usage
	// The ratios of the turns' pairs, those in the middle.
	wall, cpu float64
}

// inTurns runs ours and its floor in turn, ours first and last in each other pair, so
// that what else the machine does weighs on both. Each returns what it took.
func inTurns(turns int, ours, floor func() (usage, error)) (c compared, err error) {
	var us, floors []usage
	var walls, cpus []float64
	for i := range turns {
		var u, f usage
		steps := []func() error{
			func() (err error) { u, err = ours(); return err },
			func() (err error) { f, err = floor(); return err },
		}
		if i%2 == 1 {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return c, err
			}
		}
		us, floors = append(us, u), append(floors, f)
		walls = append(walls, float64(u.wall)/float64(f.wall))
		cpus = append(cpus, float64(u.cpu)/float64(f.cpu))
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return compared{median(us), median(floors), walls[(turns-1)/2], cpus[(turns-1)/2]}, nil
}

// own returns what work took of this process alone.
func own(work func() error) (usage, error) {
	runtime.GC() // what others left behind is not work's
	before, err := ownSoFar()
	if err != nil {
		return usage{}, err
	}
	if err := work(); err != nil {
		return usage{}, err
	}
	after, err := ownSoFar()
	return after.minus(before), err
}

func ownSoFar() (usage, error) {
	u := usage{wall: time.Duration(time.Now().UnixNano())}
	var process syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &process); err != nil {
		return u, err
	}
	u.cpu = time.Duration(process.Utime.Nano() + process.Stime.Nano())
	// Small ones that share an object are counted apart.
	allocs := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}}
	metrics.Read(allocs)
	u.allocs = allocs[0].Value.Uint64() + allocs[1].Value.Uint64()
	return u, nil
}
