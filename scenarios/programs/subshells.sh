# Many short-lived processes: each subshell splits a text and prints a part of it.
count=$1
text=$(printf 'word%d ' {1..200})
sum=0
for ((i = 0; i < count; i++)); do
  part=$(set -- $text; shift $((i % 150)); echo "${*:1:20}")
  ((sum = (sum * 31 + ${#part}) % 1000000007)) || true
done
echo "$count $sum"
