# What only the owner of ilagent can say: who maintains its packages, and where its releases are.
# `openwrt/build-feed` writes both into the packages of a release.

ILAGENT_MAINTAINER:=The ilagent founders <ilagent@example.org>
ILAGENT_RELEASES:=https://files.example.org/ilagent
