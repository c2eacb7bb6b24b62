#!/bin/bash
# Makes images.tar.xz: an image by each program that writes something to be recognised, named TYPE.VARIANT.img where
# libblkid has a name for the type.
#
# Needs root, for loop devices, and
#   apt-get install apfsprogs bcache-tools btrfs-progs cryptsetup-bin dosfstools drbd-utils e2fsprogs erofs-utils exfatprogs \
#     f2fs-tools fdisk genisoimage genromfs gfs2-utils hfsutils jfsutils lvm2 makefs mdadm mtd-utils nilfs-tools ntfs-3g \
#     ocfs2-tools parted qemu-utils reiser4progs reiserfsprogs squashfs-tools udftools user-mode-linux util-linux-extra \
#     xfsprogs xz-utils zip bzip2 zstd lz4
# and, where they are to be made again and not kept, two programs that are not in Debian 12's main: ztest and zdb of
# OpenZFS (zfs-test in contrib), vdoformat (package vdo of Debian 13; VDOFORMAT is the command that runs it).
set -euo pipefail
here=$(dirname "$(realpath "$0")")
uml=$here/../../xtask/uml-run
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/images" "$scratch/folder"
cd "$scratch/images"
[ ! -e "$here/images.tar.xz" ] || xz -dc "$here/images.tar.xz" | tar -x
printf 'something to look at\n%.0s' {1..200} >../folder/file.txt
export LC_ALL=C SOURCE_DATE_EPOCH=1700000000

make() { # NAME SIZE COMMAND...: IMAGE is the image, in place of which a program may make another
	local name=$1 size=$2
	export IMAGE=$PWD/$name.img
	rm -f "$IMAGE"
	truncate -s "$size" "$IMAGE"
	bash -ec "${*:3}" >../log 2>&1 </dev/null || {
		echo "$name:"
		cat ../log
		exit 1
	}
}

new() { # NAME COMMAND...: the same for a program that makes the file
	make "$1" 0 "rm \$IMAGE; ${*:2}"
}

looped() { # NAME SIZE COMMAND...: DEVICE is a block device of it
	make "$1" "$2" "DEVICE=\$(losetup -f --show \$IMAGE); trap 'losetup -d \$DEVICE' EXIT; ${*:3}"
}

# --- file systems of Linux
make ext2 4M 'mke2fs -q -F -t ext2 $IMAGE'
make ext3 8M 'mke2fs -q -F -t ext3 $IMAGE'
make ext4.1k 8M 'mke2fs -q -F -t ext4 -b 1024 $IMAGE'
make ext4.2k 8M 'mke2fs -q -F -t ext4 -b 2048 $IMAGE'
make ext4.4k 16M 'mke2fs -q -F -t ext4 -b 4096 $IMAGE'
make jbd 8M 'mke2fs -q -F -O journal_dev $IMAGE'
make xfs.512 300M 'mkfs.xfs -q $IMAGE'
make xfs.4096 300M 'mkfs.xfs -q -s size=4096 $IMAGE'
make xfs_external_log 64M 'truncate -s 300M ../data; mkfs.xfs -q -l logdev=$IMAGE,size=64m ../data'
make btrfs 128M 'mkfs.btrfs -q $IMAGE'
make f2fs 64M 'mkfs.f2fs -q $IMAGE'
make jfs 16M 'jfs_mkfs -q $IMAGE'
make reiserfs.4k 34M 'mkreiserfs -q -f -f $IMAGE'
make reiserfs.1k 34M 'mkreiserfs -q -f -f -b 1024 -s 513 $IMAGE'
make reiserfs.35 34M 'mkreiserfs -q -f -f --format 3.5 $IMAGE'
make reiser4 16M 'mkfs.reiser4 -y -f $IMAGE'
make nilfs2.4k 130M 'mkfs.nilfs2 -q $IMAGE'
make nilfs2.1k 130M 'mkfs.nilfs2 -q -b 1024 $IMAGE'
make gfs2 128M 'mkfs.gfs2 -q -O -p lock_nolock -j 1 -J 8 $IMAGE'
make ocfs2.4k 64M 'mkfs.ocfs2 -q -x -F -b 4096 -C 4096 -N 1 -J size=4M -M local $IMAGE'
make ocfs2.1k 64M 'mkfs.ocfs2 -q -x -F -b 1024 -C 4096 -N 1 -J size=4M -M local $IMAGE'
make ocfs2.512 64M 'mkfs.ocfs2 -q -x -F -b 512 -C 4096 -N 1 -J size=4M -M local $IMAGE'
new squashfs 'mksquashfs ../folder $IMAGE -quiet'
new erofs 'mkfs.erofs $IMAGE ../folder'
new romfs 'genromfs -f $IMAGE -d ../folder'
new cramfs.little 'mkfs.cramfs -N little ../folder $IMAGE'
new cramfs.big 'mkfs.cramfs -N big ../folder $IMAGE'
new cramfs.padded 'mkfs.cramfs -p ../folder $IMAGE'
new jffs2.little 'mkfs.jffs2 -l -r ../folder -o $IMAGE'
new jffs2.big 'mkfs.jffs2 -b -r ../folder -o $IMAGE'
new ubifs 'mkfs.ubifs -r ../folder -m 2048 -e 126976 -c 100 -o $IMAGE'
printf '[v]\nmode=ubi\nimage=ubifs.img\nvol_id=0\nvol_type=dynamic\nvol_name=r\nvol_flags=autoresize\n' >../ubi.cfg
new ubi 'ubinize -o $IMAGE -m 2048 -p 128KiB ../ubi.cfg'
make swap.4k 1M 'mkswap $IMAGE'
make swap.16k 1M 'mkswap -p 16384 $IMAGE'
make swap.64k 1M 'mkswap -p 65536 $IMAGE'

# --- file systems of others
make ntfs.512 4M 'mkntfs -q -F -s 512 -p 0 -H 0 -S 0 $IMAGE'
make ntfs.4096 16M 'mkntfs -q -F -s 4096 -c 4096 -p 0 -H 0 -S 0 $IMAGE'
make exfat 4M 'mkfs.exfat $IMAGE'
make vfat.12 1M 'mkfs.fat -F 12 $IMAGE'
make vfat.16 16M 'mkfs.fat -F 16 $IMAGE'
make vfat.32 64M 'mkfs.fat -F 32 $IMAGE'
make vfat.4096 64M 'mkfs.fat -S 4096 $IMAGE'
make vfat.floppy 1440K 'mkfs.fat $IMAGE'
new iso9660.plain 'genisoimage -quiet -o $IMAGE ../folder'
new iso9660.joliet 'genisoimage -quiet -J -R -V VOL -o $IMAGE ../folder'
new iso9660.hfs 'genisoimage -quiet -hfs -o $IMAGE ../folder'
new udf.bridge 'genisoimage -quiet -udf -o $IMAGE ../folder'
for size in 512 2048 4096; do make "udf.$size" 4M "mkudffs -b $size \$IMAGE"; done
make hfs 4M 'hformat $IMAGE'
make apfs 600M 'mkapfs $IMAGE'
for order in le be; do for version in 1 2; do
	new "ufs.$version.$order" "makefs -s 4m -t ffs -B $order -o version=$version \$IMAGE ../folder"
done; done
for version in 1 2; do for length in 14 30; do
	make "minix.$version.$length" 1M "mkfs.minix -$version -n $length \$IMAGE"
done; done
make minix.3 1M 'mkfs.minix -3 $IMAGE'
make bfs 1M 'mkfs.bfs $IMAGE'

# --- members and mappings
make bcache.backing 16M 'make-bcache -B $IMAGE'
make bcache.cache 64M 'make-bcache -C $IMAGE'
looped LVM2_member.1 16M 'pvcreate -y -ff $DEVICE'
looped LVM2_member.3 16M 'pvcreate -y -ff --labelsector 3 $DEVICE'
looped drbd.8 16M 'yes yes | drbdmeta --force 0 v08 $DEVICE internal create-md'
looped drbd.9 16M 'yes yes | drbdmeta --force 0 v09 $DEVICE internal create-md 1'
head -c 1M /dev/zero >../zeros
make DM_verity_hash 1M 'veritysetup format --salt=00 --uuid=00000000-0000-0000-0000-000000000001 ../zeros $IMAGE'
make crypto_LUKS.1 4M 'echo -n x | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 $IMAGE -'
make crypto_LUKS.2 32M 'echo -n x | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $IMAGE -'

# Keyslots are noise, and no mark: only the headers stay.
for image in crypto_LUKS.1:4096 crypto_LUKS.2:32768; do
	file=${image%:*}.img kept=${image#*:}
	fallocate -p -o "$kept" -l $(($(stat -c %s "$file") - kept)) "$file"
done

# What wants a driver of the kernel.
for version in 0.90 1.0 1.1 1.2; do make "linux_raid_member.$version" 16M true; done
make ddf_raid_member 64M true
make isw_raid_member 64M true
make DM_integrity 16M true
cat >../kernel.sh <<EOS
set -e
cd '$PWD'
number=0
array() { # FILE OPTION...
	device=\$(losetup -f --show "\$1")
	yes | mdadm --create /dev/md\$number --run --force "\${@:2}"  \$device \$other || return 1
	mdadm --stop /dev/md\$number
	losetup -d \$device
	number=\$((number + 1))
}
other=missing
for version in 0.90 1.0 1.1 1.2; do
	array linux_raid_member.\$version.img --metadata=\$version --level=1 --raid-devices=2
done
export IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1
other=
array ddf_raid_member.img --metadata=ddf --raid-devices=1
array isw_raid_member.img --metadata=imsm --raid-devices=1
device=\$(losetup -f --show DM_integrity.img)
integritysetup format -q --no-wipe \$device
losetup -d \$device
sync
EOS
"$uml" ../kernel.sh >../log 2>&1 || { cat ../log; exit 1; }

if command -v ztest >/dev/null; then
	# It ends by looking for a fault of its own; the pool is there by then.
	mkdir ../pool
	timeout 60 ztest -f "$scratch/pool" -p pool -T 5 -P 3 -v 1 -m 1 -r 1 -K raidz -s 128M -d 1 -t 1 -k 0 >../log 2>&1 || true
	mv ../pool/pool.0a zfs_member.img
	fallocate -p -o 512K -l 127M zfs_member.img
else
	echo 'no ztest: zfs_member.img is kept'
fi
if [ -n "${VDOFORMAT:-}" ]; then
	looped vdo 6G "$VDOFORMAT --force --slab-bits=13 \$DEVICE"
else
	echo 'no VDOFORMAT: vdo.img is kept'
fi

# --- partition tables
make gpt 4M 'printf "label: gpt\n2048,1024\n4096,1024\n" | sfdisk -q $IMAGE'
make gpt.second 4M 'printf "label: gpt\n2048,1024\n" | sfdisk -q $IMAGE; dd if=/dev/zero of=$IMAGE bs=512 count=34 conv=notrunc'
make dos 4M 'printf "label: dos\nd1: start=2048,size=1024\nd2: start=4096,size=3000,type=5\nd5: start=4200,size=100\nd6: start=4400,size=200\n" | sfdisk -q $IMAGE'
make dos.empty 4M 'printf "label: dos\n" | sfdisk -q $IMAGE'
make sun 64M 'printf "label: sun\n,20M\n" | sfdisk -q $IMAGE'
make sgi 64M 'printf "label: sgi\n,20M\n" | sfdisk -q $IMAGE'
make mac 4M 'parted -s $IMAGE mklabel mac'
make bsd 64M 'parted -s $IMAGE mklabel bsd'
make amiga 64M 'parted -s $IMAGE mklabel amiga'
make pc98 64M 'parted -s $IMAGE mklabel pc98'

# --- images and archives
for format in qcow2 qcow qed vmdk vdi vhdx vpc parallels; do
	new "image.$format" "qemu-img create -q -f $format \$IMAGE 4M"
done
new image.vpc.fixed 'qemu-img create -q -f vpc -o subformat=fixed $IMAGE 4M'
new image.vmdk.flat 'qemu-img create -q -f vmdk -o subformat=monolithicFlat $IMAGE 4M'
rm -f image.vmdk.flat-flat.img
for program in gzip xz bzip2 zstd lz4; do new "archive.$program" "$program -c ../folder/file.txt >\$IMAGE"; done
new archive.zip 'zip -q - ../folder/file.txt >$IMAGE'
new archive.tar 'tar -cf $IMAGE ../folder'
new archive.tar.pax 'tar --format=pax -cf $IMAGE ../folder'

# What stands behind its geometry is a map of blocks, large and empty.
truncate -s 1M vdo.img
# Zeros become holes, which tar leaves out.
for image in *.img; do fallocate -d "$image"; done
tar -S --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf - -- *.img | xz -9e >"$here/images.tar.xz.new"
mv "$here/images.tar.xz.new" "$here/images.tar.xz"
