package main

import (
	"context"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/mount-utils"
)

// Mounts volumes where the kubelet wants them, and grows them there.
type node struct {
	csi.UnimplementedNodeServer
	name    string
	files   files
	mounter mount.Interface
}

func newNode(name string, files files) *node {
	return &node{name: name, files: files, mounter: mount.NewWithoutSystemd("")}
}

func (it node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: it.name}, nil
}

func (node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	able := func(what csi.NodeServiceCapability_RPC_Type) *csi.NodeServiceCapability {
		return &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{
			Rpc: &csi.NodeServiceCapability_RPC{Type: what},
		}}
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{
		able(csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME),
		able(csi.NodeServiceCapability_RPC_EXPAND_VOLUME),
	}}, nil
}

// Mounts the volume's file system once for all pods of the node.
func (it node) NodeStageVolume(_ context.Context, request *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if err := named(request.StagingTargetPath, request.VolumeCapability); err != nil {
		return nil, err
	}
	file, _, err := it.files.find(request.VolumeId)
	if err != nil {
		return nil, err
	}
	// The kernel takes the device back with the last mount of it, whoever ends.
	return &csi.NodeStageVolumeResponse{}, it.mount(file, request.StagingTargetPath, "xfs", "loop", "noatime")
}

func (it node) NodeUnstageVolume(_ context.Context, request *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	return &csi.NodeUnstageVolumeResponse{}, it.unmount(request.VolumeId, request.StagingTargetPath)
}

// Shows a pod what is mounted.
func (it node) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if err := named(request.TargetPath, request.VolumeCapability); err != nil {
		return nil, err
	}
	if request.StagingTargetPath == "" {
		return nil, status.Error(codes.InvalidArgument, "no path is named")
	}
	if _, _, err := it.files.find(request.VolumeId); err != nil {
		return nil, err
	}
	options := []string{"bind"}
	if request.Readonly {
		options = append(options, "ro")
	}
	return &csi.NodePublishVolumeResponse{}, it.mount(request.StagingTargetPath, request.TargetPath, "", options...)
}

func (it node) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	return &csi.NodeUnpublishVolumeResponse{}, it.unmount(request.VolumeId, request.TargetPath)
}

// Gives the mounted file system all of its file.
func (it node) NodeExpandVolume(_ context.Context, request *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	file, size, err := it.files.find(request.VolumeId)
	if err != nil {
		return nil, err
	}
	if request.VolumePath == "" {
		return nil, status.Error(codes.InvalidArgument, "no path is named")
	}
	device, err := run("losetup", "--noheadings", "--output", "NAME", "--associated", file)
	if err != nil {
		return nil, err
	}
	if device == "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not mounted", request.VolumeId)
	}
	if _, err := run("losetup", "--set-capacity", device); err != nil {
		return nil, err
	}
	if _, err := run("xfs_growfs", "-d", request.VolumePath); err != nil {
		return nil, err
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: size}, nil
}

// Mounts it unless it is.
func (it node) mount(source, target, kind string, options ...string) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	mounted, err := it.mounter.IsMountPoint(target)
	if err != nil || mounted {
		return err
	}
	return it.mounter.Mount(source, target, kind, options)
}

func (it node) unmount(id, target string) error {
	if id == "" || target == "" {
		return status.Error(codes.InvalidArgument, "no volume or no path is named")
	}
	return mount.CleanupMountPoint(target, it.mounter, true)
}

// What a request to mount must say.
func named(target string, capability *csi.VolumeCapability) error {
	if target == "" {
		return status.Error(codes.InvalidArgument, "no path is named")
	}
	if why := refused([]*csi.VolumeCapability{capability}); why != "" {
		return status.Error(codes.InvalidArgument, why)
	}
	return nil
}
