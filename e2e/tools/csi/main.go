// A CSI driver for one node, whose volumes are file systems in files: each has the size that was
// asked for and no more, and grows while it is mounted. It registers itself with the kubelet.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// What StorageClasses call it.
const driver = "csi.e2e.trackbed.dev"

func main() {
	root := flag.String("root", "/", "the node's root folder: the node's own programs are used, and the paths that the kubelet says")
	kubelet := flag.String("kubelet", "/var/lib/kubelet", "the kubelet's folder")
	volumes := flag.String("volumes", "", "folder of the volumes' files")
	node := flag.String("node", "", "the node's name")
	flag.Parse()

	must(syscall.Chroot(*root))
	must(os.Chdir("/"))
	must(os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
	must(os.MkdirAll(*volumes, 0o700))
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, &identity{})
	csi.RegisterControllerServer(server, &controller{files: files(*volumes)})
	csi.RegisterNodeServer(server, newNode(*node, files(*volumes)))
	socket := filepath.Join(*kubelet, "plugins", driver, "csi.sock")
	serving := listen(socket)
	go func() { must(server.Serve(serving)) }()

	// Only now: the kubelet asks the driver as soon as it has seen this socket.
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, &registered{socket: socket})
	must(registrar.Serve(listen(filepath.Join(*kubelet, "plugins_registry", driver+"-reg.sock"))))
}

// Listens at a socket, also where one is left of a driver before.
func listen(path string) net.Listener {
	must(os.MkdirAll(filepath.Dir(path), 0o750))
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		must(err)
	}
	listener, err := net.Listen("unix", path)
	must(err)
	return listener
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// What the kubelet asks of a program whose socket is in its folder of plug-ins.
type registered struct {
	registration.UnimplementedRegistrationServer
	socket string
}

func (it registered) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              driver,
		Endpoint:          it.socket,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (registered) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Fatalf("the kubelet does not take the driver: %s", status.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driver, VendorVersion: "1"}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}}},
		{Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{
			Type: csi.PluginCapability_VolumeExpansion_ONLINE,
		}}},
	}}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}
