package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// Sizes are multiples of this, in bytes.
	step = 1 << 20
	// The smallest volume, and the one of who names no size, in bytes: mkfs.xfs makes none that is
	// smaller.
	least = 300 << 20
	// The largest volume, in bytes.
	most = 1 << 40
)

// Makes, grows and removes volumes.
type controller struct {
	csi.UnimplementedControllerServer
	files files
	// Held by who makes a volume: who lost patience asks again while it is being made.
	making sync.Mutex
}

func (*controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	able := func(what csi.ControllerServiceCapability_RPC_Type) *csi.ControllerServiceCapability {
		return &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{
			Rpc: &csi.ControllerServiceCapability_RPC{Type: what},
		}}
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{
		able(csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME),
		able(csi.ControllerServiceCapability_RPC_EXPAND_VOLUME),
	}}, nil
}

func (it *controller) CreateVolume(_ context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	path, err := it.files.path(request.Name)
	if err != nil {
		return nil, err
	}
	if why := refused(request.VolumeCapabilities); why != "" {
		return nil, status.Error(codes.InvalidArgument, why)
	}
	size, err := wanted(request.CapacityRange)
	if err != nil {
		return nil, err
	}
	it.making.Lock()
	defer it.making.Unlock()
	_, has, err := it.files.find(request.Name)
	switch {
	case status.Code(err) == codes.NotFound:
		has, err = size, it.files.create(path, size)
	case err == nil && !within(has, request.CapacityRange):
		return nil, status.Errorf(codes.AlreadyExists, "volume %s has %d bytes", request.Name, has)
	}
	if err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: request.Name, CapacityBytes: has}}, nil
}

func (it *controller) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	path, err := it.files.path(request.VolumeId)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (it *controller) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if _, _, err := it.files.find(request.VolumeId); err != nil {
		return nil, err
	}
	if len(request.VolumeCapabilities) == 0 {
		return nil, status.Error(codes.InvalidArgument, "no capability is named")
	}
	if why := refused(request.VolumeCapabilities); why != "" {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: why}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: request.VolumeCapabilities},
	}, nil
}

// Makes room behind the file system, which the node then takes.
func (it *controller) ControllerExpandVolume(_ context.Context, request *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	path, has, err := it.files.find(request.VolumeId)
	if err != nil {
		return nil, err
	}
	size, err := wanted(request.CapacityRange)
	if err != nil {
		return nil, err
	}
	if size > has {
		if err := os.Truncate(path, size); err != nil {
			return nil, err
		}
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: max(size, has), NodeExpansionRequired: true}, nil
}

// How large a volume is to be, in bytes.
func wanted(capacity *csi.CapacityRange) (int64, error) {
	size := max(capacity.GetRequiredBytes(), least)
	size = (size + step - 1) / step * step
	if size > most || !within(size, capacity) {
		return 0, status.Errorf(codes.OutOfRange, "no volume can have %v", capacity)
	}
	return size, nil
}

func within(size int64, capacity *csi.CapacityRange) bool {
	limit := capacity.GetLimitBytes()
	return size >= capacity.GetRequiredBytes() && (limit == 0 || size <= limit)
}

// Why volumes cannot be used like that; nothing when they can.
func refused(capabilities []*csi.VolumeCapability) string {
	if len(capabilities) == 0 {
		return "no capability is named"
	}
	for _, capability := range capabilities {
		if capability.GetMount() == nil {
			return "volumes are file systems"
		}
		switch capability.GetAccessMode().GetMode() {
		case csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
			csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY:
		default:
			return "volumes are on one node"
		}
	}
	return ""
}
