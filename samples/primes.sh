#!/bin/bash
# Prints prime numbers, by builtins of bash alone.
#   bash samples/primes.sh
#   proc2elf $(pgrep -f samples/primes.sh) -o primes.bin --kill && ./primes.bin
for ((number = 2; ; number++)); do
    for ((divisor = 2; divisor * divisor <= number; divisor++)); do
        ((number % divisor)) || continue 2
    done
    echo "$number"
done
