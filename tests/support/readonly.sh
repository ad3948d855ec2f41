# readonly.sh FOLDER COMMAND...: as in a container, nothing can be written but FOLDER, a tmpfs.
# For a mount namespace of its own: unshare --mount sh readonly.sh ...
set -eu
folder=$1
shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
while read -r _ point _; do
  case $point in
  "$folder" | /proc | /proc/* | /sys | /sys/* | /dev | /dev/pts) ;;
  *) mount -o remount,bind,ro "$point" ;;
  esac
done </proc/self/mounts
exec "$@"
