#!/bin/bash
# A loop of builtins: a list of numbers grows, and is added up again and again.
numbers=() sum=0 count=0
until ((count >= 3000)) && read -r -t 0; do
    ((count++))
    numbers+=("$count")
    ((sum += count))
    printf -v text '%05d' "$count"
    [[ $text =~ ^0*([1-9][0-9]*)$ && ${BASH_REMATCH[1]} == "$count" ]] || echo "wrong: $text"
    ((count == 1000)) && echo ready
done
read -r line
again=0
for number in "${numbers[@]}"; do ((again += number)); done
if ((again == sum && sum == count * (count + 1) / 2)) && [[ $line == go ]]; then
    echo ok
else
    echo "wrong: $again, $sum, $count"
    exit 1
fi
