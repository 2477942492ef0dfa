// Goroutines on small stacks, channels, timers and a busy garbage collector.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var gone atomic.Bool
var progress, ticks atomic.Int64

func fibonacci(n int) int {
	if n < 2 {
		return n
	}
	return fibonacci(n-1) + fibonacci(n-2)
}

func work(wrong chan<- string) {
	for !gone.Load() {
		garbage := make([][]byte, 0)
		for i := 0; i < 100; i++ {
			garbage = append(garbage, make([]byte, 500))
		}
		if fibonacci(15) != 610 || len(garbage) != 100 {
			wrong <- "a sum is wrong"
		}
		progress.Add(1)
		runtime.Gosched()
	}
}

func main() {
	wrong := make(chan string, 100)
	var all sync.WaitGroup
	for i := 0; i < 100; i++ {
		all.Add(1)
		go func() { defer all.Done(); work(wrong) }()
	}
	// A ring through which one number is passed.
	const ring = 50
	channels := make([]chan int, ring)
	for i := range channels {
		channels[i] = make(chan int)
	}
	var laps atomic.Int64
	for i := range channels {
		go func(from, to chan int) {
			for number := range from {
				laps.Add(1)
				to <- number + 1
			}
		}(channels[i], channels[(i+1)%ring])
	}
	channels[0] <- 0
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			ticks.Add(1)
		}
	}()
	for progress.Load() < 1000 || ticks.Load() < 3 {
		runtime.Gosched()
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	before, lapsBefore, ticksBefore := progress.Load(), laps.Load(), ticks.Load()
	for progress.Load() < before+1000 || laps.Load() < lapsBefore+100 || ticks.Load() < ticksBefore+3 {
		time.Sleep(time.Millisecond)
	}
	gone.Store(true)
	all.Wait()
	runtime.GC()
	select {
	case what := <-wrong:
		fmt.Println("wrong:", what)
		os.Exit(1)
	default:
		fmt.Println("ok")
	}
}
