# An array and an associative array of strings, filled, changed and read again.
count=$1
list=()
declare -A place
for ((i = 0; i < count; i++)); do
  list+=("item-$((i * 7919 % count))")
done
for ((i = 0; i < count; i++)); do
  text=${list[i]}
  place[${text#item-}]=$i
  list[i]=${text/item/entry}
done
sum=0
for ((i = 0; i < count; i++)); do
  ((sum = (sum * 31 + place[$i]) % 1000000007)) || true
done
echo "${#list[@]} ${#place[@]} $sum ${list[count / 2]}"
