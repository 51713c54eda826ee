// Record what the AWS Load Balancer Controller's own builder makes of groups of Ingresses.
//
// It is no part of the gate: it runs in a clone of kubernetes-sigs/aws-load-balancer-controller (CONTRIBUTING.md says how), reads
// {name: [objects]} as JSON from stdin, and prints {name: recorded} as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	elbv2api "sigs.k8s.io/aws-load-balancer-controller/v3/apis/elbv2/v1beta1"
	"sigs.k8s.io/aws-load-balancer-controller/v3/pkg/annotations"
	"sigs.k8s.io/aws-load-balancer-controller/v3/pkg/config"
	elbv2deploy "sigs.k8s.io/aws-load-balancer-controller/v3/pkg/deploy/elbv2"
	"sigs.k8s.io/aws-load-balancer-controller/v3/pkg/deploy/tracking"
	"sigs.k8s.io/aws-load-balancer-controller/v3/pkg/ingress"
	lbcmetrics "sigs.k8s.io/aws-load-balancer-controller/v3/pkg/metrics/lbc"
	elbv2model "sigs.k8s.io/aws-load-balancer-controller/v3/pkg/model/elbv2"
	networkingpkg "sigs.k8s.io/aws-load-balancer-controller/v3/pkg/networking"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// What AWS would be asked for: two subnets, and no load balancer that is there already.
type subnets struct{ networkingpkg.SubnetsResolver }

func (subnets) ResolveViaDiscovery(context.Context, ...networkingpkg.SubnetsResolveOption) ([]ec2types.Subnet, error) {
	return []ec2types.Subnet{
		{SubnetId: awssdk.String("subnet-a"), CidrBlock: awssdk.String("10.42.0.0/19")},
		{SubnetId: awssdk.String("subnet-b"), CidrBlock: awssdk.String("10.42.32.0/19")},
	}, nil
}

type tags struct{ elbv2deploy.TaggingManager }

func (tags) ListLoadBalancers(context.Context, ...tracking.TagFilter) ([]elbv2deploy.LoadBalancerWithTags, error) {
	return nil, nil
}

// The class of clusters/seoul, in the spelling of the self-run controller.
func class() (*networking.IngressClass, *elbv2api.IngressClassParams) {
	params := &elbv2api.IngressClassParams{ObjectMeta: metav1.ObjectMeta{Name: "platform"}}
	params.Spec.Group = &elbv2api.IngressGroup{Name: "platform"}
	params.Spec.TargetType = elbv2api.TargetTypeIP
	params.Spec.SSLPolicy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
	params.Spec.CertificateArn = []string{"arn:aws:acm:ap-northeast-2:111122223333:certificate/1"}
	group := elbv2api.GroupVersion.Group
	return &networking.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "platform"},
		Spec: networking.IngressClassSpec{
			Controller: ingress.IngressClassControllerALB,
			Parameters: &networking.IngressClassParametersReference{APIGroup: &group, Kind: "IngressClassParams", Name: "platform"},
		},
	}, params
}

type rule struct {
	Hosts  []string `json:"hosts,omitempty"`
	Paths  []string `json:"paths,omitempty"`
	Others []string `json:"others,omitempty"`
	To     []string `json:"to"`
}

type targets struct {
	Protocol   string            `json:"protocol"`
	Version    string            `json:"version"`
	Check      map[string]string `json:"check"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

type listener struct {
	Protocol string   `json:"protocol"`
	Default  []string `json:"default"`
	Rules    []rule   `json:"rules,omitempty"`
}

type recorded struct {
	Error        string              `json:"error,omitempty"`
	Listeners    map[string]listener `json:"listeners,omitempty"`
	TargetGroups map[string]targets  `json:"target_groups,omitempty"`
}

func main() {
	var groups map[string][]json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&groups); err != nil {
		panic(err)
	}
	names := slices.Sorted(maps.Keys(groups))
	// A line for each group, so that a change of one is read as one.
	for number, name := range names {
		text, err := json.Marshal(build(groups[name]))
		if err != nil {
			panic(err)
		}
		start, end := "{", ","
		if number > 0 {
			start = " "
		}
		if number == len(names)-1 {
			end = "}"
		}
		fmt.Printf("%s%q: %s%s\n", start, name, text, end)
	}
}

func build(raw []json.RawMessage) recorded {
	scheme := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(scheme)
	_ = elbv2api.AddToScheme(scheme)
	ingressClass, params := class()
	objects := []client.Object{ingressClass, params}
	for _, text := range raw {
		var kind metav1.TypeMeta
		if err := json.Unmarshal(text, &kind); err != nil {
			panic(err)
		}
		var object client.Object
		switch kind.Kind {
		case "Ingress":
			object = &networking.Ingress{}
		case "Service":
			object = &corev1.Service{}
		default:
			panic("unknown kind " + kind.Kind)
		}
		if err := json.Unmarshal(text, object); err != nil {
			panic(err)
		}
		objects = append(objects, object)
	}
	k8s := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	parser := annotations.NewSuffixAnnotationParser("alb.ingress.kubernetes.io")
	events := record.NewFakeRecorder(1000)
	loader := ingress.NewDefaultGroupLoader(k8s, events, parser, ingress.NewDefaultClassLoader(k8s, true), ingress.NewDefaultClassAnnotationMatcher("alb"), false)
	group, err := loader.Load(context.Background(), ingress.NewGroupIDForExplicitGroup("platform"))
	if err != nil {
		return recorded{Error: err.Error()}
	}
	auth := ingress.NewDefaultAuthConfigBuilder(parser)
	backends := ingress.NewDefaultEnhancedBackendBuilder(k8s, parser, auth, true, true)
	logger := logr.Discard()
	metrics := lbcmetrics.NewMockCollector()
	builder := ingress.NewDefaultModelBuilder(k8s, events, nil, nil, nil, nil, parser, subnets{}, auth, backends,
		tracking.NewDefaultProvider("ingress.k8s.aws", "seoul"), tags{}, config.NewFeatureGates(), "vpc-1", "seoul", nil, nil,
		"ELBSecurityPolicy-2016-08", "instance", "internal", nil, nil, false, true, false, nil, true, false, "", nil, nil, logger, metrics, nil)
	stack, _, _, _, _, _, err := builder.Build(context.Background(), group, metrics)
	if err != nil {
		return recorded{Error: err.Error()}
	}
	result := recorded{Listeners: map[string]listener{}, TargetGroups: map[string]targets{}}
	var groups []*elbv2model.TargetGroup
	_ = stack.ListResources(&groups)
	for _, each := range groups {
		check := each.Spec.HealthCheckConfig
		codes := check.Matcher.HTTPCode
		if codes == nil {
			codes = check.Matcher.GRPCCode
		}
		attributes := map[string]string{}
		for _, attribute := range each.Spec.TargetGroupAttributes {
			attributes[attribute.Key] = attribute.Value
		}
		result.TargetGroups[each.ID()] = targets{
			Protocol: string(each.Spec.Protocol), Version: string(*each.Spec.ProtocolVersion), Attributes: attributes,
			Check: map[string]string{
				"port": check.Port.String(), "protocol": string(check.Protocol), "path": *check.Path, "codes": *codes,
				"interval": number(check.IntervalSeconds), "timeout": number(check.TimeoutSeconds),
				"healthy": number(check.HealthyThresholdCount), "unhealthy": number(check.UnhealthyThresholdCount),
			},
		}
	}
	var listeners []*elbv2model.Listener
	_ = stack.ListResources(&listeners)
	for _, each := range listeners {
		result.Listeners[each.ID()] = listener{Protocol: string(each.Spec.Protocol), Default: actions(each.Spec.DefaultActions)}
	}
	var rules []*elbv2model.ListenerRule
	_ = stack.ListResources(&rules)
	sort.Slice(rules, func(i, j int) bool { return rules[i].Spec.Priority < rules[j].Spec.Priority })
	for _, each := range rules {
		port := strings.Split(each.ID(), ":")[0]
		on := result.Listeners[port]
		on.Rules = append(on.Rules, read(each))
		result.Listeners[port] = on
	}
	return result
}

func number(value *int32) string { return strconv.Itoa(int(*value)) }

func read(each *elbv2model.ListenerRule) rule {
	made := rule{To: actions(each.Spec.Actions)}
	for _, condition := range each.Spec.Conditions {
		switch {
		case condition.HostHeaderConfig != nil && len(condition.HostHeaderConfig.Values) > 0:
			made.Hosts = condition.HostHeaderConfig.Values
		case condition.PathPatternConfig != nil && len(condition.PathPatternConfig.Values) > 0:
			made.Paths = condition.PathPatternConfig.Values
		default:
			made.Others = append(made.Others, string(condition.Field))
		}
	}
	sort.Strings(made.Others)
	return made
}

func actions(list []elbv2model.Action) []string {
	var told []string
	for _, action := range list {
		switch action.Type {
		case elbv2model.ActionTypeForward:
			for _, tuple := range action.ForwardConfig.TargetGroups {
				if deps := tuple.TargetGroupARN.Dependencies(); len(deps) > 0 {
					told = append(told, deps[0].ID())
				} else {
					arn, _ := tuple.TargetGroupARN.Resolve(context.Background())
					told = append(told, arn)
				}
			}
		case elbv2model.ActionTypeFixedResponse:
			told = append(told, action.FixedResponseConfig.StatusCode)
		case elbv2model.ActionTypeRedirect:
			to := action.RedirectConfig
			text := fmt.Sprintf("redirect %s %s", awssdk.ToString(to.Protocol), awssdk.ToString(to.Port))
			told = append(told, strings.TrimSpace(text+" "+awssdk.ToString(to.Host)+awssdk.ToString(to.Path)))
		default:
			told = append(told, string(action.Type))
		}
	}
	return told
}
